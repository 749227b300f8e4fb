"""`gateway rules export`."""

from __future__ import annotations

from pathlib import Path

import click

from gateway.cli.output import echo_json, echo_text


@click.command("export", short_help="Write rules for MSE, Polaris or Istio.")
@click.argument("form", metavar="FORMAT", type=click.Choice(["mse", "polaris", "istio"]))
@click.argument("paths", metavar="[PATH]...", nargs=-1, type=click.Path(path_type=Path))
@click.option("--strict", is_flag=True, help="Exit code 1 where anything is lost.")
def command(form: str, paths: tuple[Path, ...], strict: bool) -> None:
    """Write rules for MSE, Polaris (JSON) or Istio (YAML) to stdout.

    PATH is a file or a directory [default: rules]. What the other side cannot say is listed on stderr; a lane whose conditions
    it cannot say is left out, never widened.
    """
    from gateway.cli.failing import failing, show_losses
    from gateway.rulesources.files import load_rules
    from gateway.ruletools.formats import export_rules
    from gateway.yaml.writing import write_yaml

    with failing():
        exported = export_rules(form, load_rules(list(paths) or [Path("rules")]).rules.groups)
    if form == "istio":
        echo_text(write_yaml(*exported.documents, has_variables=False))
    else:
        documents = list(exported.documents)
        echo_json(documents[0] if len(documents) == 1 else documents)
    show_losses(exported.losses, strict)
