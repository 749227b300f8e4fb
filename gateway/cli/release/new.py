"""`gateway release new`."""

from __future__ import annotations

from pathlib import Path

import click

from gateway.cli.failing import failing
from gateway.cli.output import echo, echo_json
from gateway.cli.release.options import set_option


@click.command("new", short_help="Create the files of a new application from a template.")
@click.argument("apps", metavar="APP...", nargs=-1, required=True)
@click.option("--template", required=True, metavar="NAME", help="The file in `templates/`.")
@click.option(
    "-c", "--config", type=click.Path(path_type=Path), default=Path("config/release.yaml"), show_default=True,
    help="Configuration file.",
)  # fmt: skip
@set_option
@click.option("-o", "--output", type=click.Choice(["text", "json"]), default="text", show_default=True)
def command(apps: tuple[str, ...], template: str, config: Path, values: dict[str, str], output: str) -> None:
    """Create the files of new applications from a template, all or none. Later edits of the template do not touch them.

    `--set` gives the template's parameters; `{app}` in a value is the application's name.
    """
    from gateway.cli.release.extra import needs_extra
    from gateway.release.settings import load_release

    with failing(output):
        with needs_extra():
            from gateway.release.catalog import load_catalog
            from gateway.release.scaffold import new_files, write_new
        loaded = load_release(config)
        catalog = load_catalog(loaded.files, loaded.settings.targets)
        files: dict[Path, str] = {}
        for app in apps:
            given = {name: value.replace("{app}", app) for name, value in values.items()}
            files |= new_files(catalog, app, template, given)
        write_new(files)
        if output == "json":
            echo_json({"files": [str(path) for path in files]})
            return
        for path in files:
            echo(str(path))
