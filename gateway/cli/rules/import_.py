"""`gateway rules import`."""

from __future__ import annotations

import json
from typing import Any, TextIO

import click


@click.command("import", short_help="Make rules of MSE, Polaris or Istio.")
@click.argument("form", metavar="FORMAT", type=click.Choice(["mse", "polaris", "istio"]))
@click.argument("source", metavar="FILE", type=click.File(encoding="utf-8"))
@click.option("--strict", is_flag=True, help="Exit code 1 where anything is lost.")
def command(form: str, source: TextIO, strict: bool) -> None:
    """Make rules of MSE, Polaris (JSON) or Istio (YAML) and write them to stdout.

    FILE may be - for stdin. What does not fit is listed on stderr; a lane whose conditions cannot be said here is imported
    closed, never widened.
    """
    import yaml

    from gateway.cli.failing import failing, show_losses
    from gateway.errors import GatewayError
    from gateway.rules.formats import import_rules

    with failing():
        text = source.read()
        data: Any
        try:
            data = json.loads(text)
        except ValueError:
            try:
                data = [document for document in yaml.safe_load_all(text) if document is not None]
            except yaml.YAMLError as error:
                raise GatewayError(f"{source.name}: neither JSON nor YAML: {error}") from error
        imported = import_rules(form, data)
    groups = [group.model_dump(mode="json", by_alias=True, exclude_unset=True) for group in imported.groups]
    click.echo(yaml.safe_dump({"lane_groups": groups}, sort_keys=False, allow_unicode=True, width=120), nl=False)
    show_losses(imported.losses, strict)
