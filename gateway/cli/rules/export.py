"""`gateway rules export`."""

from __future__ import annotations

from pathlib import Path

import click

from gateway.cli.output import echo_json, echo_text


@click.command("export", short_help="Convert rules to MSE, Polaris or Istio.")
@click.argument("form", metavar="FORMAT", type=click.Choice(["mse", "polaris", "istio"]))
@click.argument("paths", metavar="[PATH]...", nargs=-1, type=click.Path(path_type=Path))
@click.option("--strict", is_flag=True, help="Exit with 1 if anything is lost.")
def command(form: str, paths: tuple[Path, ...], strict: bool) -> None:
    """Convert rules to MSE, Polaris (JSON) or Istio (YAML), and print them to stdout.

    PATH is a file or a directory [default: rules]. Everything that the other format cannot express is listed on stderr. A
    lane whose conditions it cannot express is left out, never widened.
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
