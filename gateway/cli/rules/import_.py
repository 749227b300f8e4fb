"""`gateway rules import`."""

from __future__ import annotations

import json
from typing import Any, TextIO

import click

from gateway.cli.output import echo_text


@click.command("import", short_help="Make rules of MSE, Polaris or Istio.")
@click.argument("form", metavar="FORMAT", type=click.Choice(["mse", "polaris", "istio"]))
@click.argument("source", metavar="FILE", type=click.File(encoding="utf-8"))
@click.option("--strict", is_flag=True, help="Exit code 1 where anything is lost.")
def command(form: str, source: TextIO, strict: bool) -> None:
    """Make rules of MSE, Polaris (JSON) or Istio (YAML) and write them to stdout.

    FILE may be - for stdin. What does not fit is listed on stderr; a lane whose conditions cannot be said here is imported
    closed, never widened.
    """
    from gateway.cli.failing import failing, show_losses
    from gateway.control.format import written
    from gateway.rules.formats import import_rules

    with failing():
        imported = import_rules(form, _read(source))
    echo_text(written(imported.groups))
    show_losses(imported.losses, strict)


def _read(source: TextIO) -> Any:
    """The JSON value of a file, or the list of its YAML documents. Raises GatewayError."""
    import yaml

    from gateway.errors import GatewayError

    try:
        text = source.read()
        try:
            return json.loads(text)
        except ValueError:
            return [document for document in yaml.safe_load_all(text) if document is not None]
    except RecursionError as error:
        raise GatewayError(f"{source.name}: too deeply nested") from error
    except UnicodeDecodeError as error:
        raise GatewayError(f"{source.name}: not UTF-8: {error}") from error
    except yaml.YAMLError as error:
        raise GatewayError(f"{source.name}: neither JSON nor YAML: {error}") from error
