"""`gateway release render`."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote

import click

from gateway.cli.output import echo_json, echo_text
from gateway.cli.release.asking import Ask, asks
from gateway.cli.release.options import image_option, set_option
from gateway.shapes import TEXT, Maybe


@click.command("render", short_help="Show an application's orchestration for an environment.")
@click.argument("app")
@click.argument("environment")
@click.option(
    "-c", "--config", type=click.Path(path_type=Path), default=Path("config/release.yaml"), show_default=True,
    help="Configuration file; the release's files are read, and no server is queried without --diff.",
)  # fmt: skip
@image_option
@set_option
@click.option("--diff", is_flag=True, help="Show the difference from what runs, according to the release server.")
@asks
def command(
    app: str,
    environment: str,
    config: Path,
    images: dict[str, str],
    values: dict[str, str],
    diff: bool,
    ask: Ask,
    output: str,
) -> None:
    """Show the Kubernetes documents that an application's orchestration makes for an environment.

    Images that are not given are called by their names, with the version `dev`.
    """
    from gateway.cli.release.extra import needs_extra
    from gateway.files import unified_diff
    from gateway.release.settings import load_release

    with needs_extra():
        from gateway.release.catalog import load_catalog
        from gateway.release.orchestration import render_app
    loaded = load_release(config)
    catalog = load_catalog(loaded.files, loaded.settings.targets)
    known = {} if app not in catalog.apps else {name: f"{app}-{name}:dev" for name in catalog.apps[app].value.images}
    text = render_app(catalog, app, environment, {**known, **images}, values).text
    if diff:
        path = f"/api/v1/apps/{quote(app, safe='')}/{quote(environment, safe='')}/manifest"
        runs = ask("GET", path, wants={"manifest": TEXT, "version": Maybe(TEXT)})
        text = unified_diff(runs["manifest"], text, f"{app} {runs['version'] or 'nothing'} in {environment}", "files")
    if output == "json":
        echo_json({"application": app, "environment": environment, "text": text})
    else:
        echo_text(text)
