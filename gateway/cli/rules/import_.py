"""`gateway rules import`."""

from __future__ import annotations

import sys

import click

from gateway.cli.output import echo, echo_text


@click.command("import", short_help="Convert rules from MSE, Polaris or Istio.")
@click.argument("form", metavar="FORMAT", type=click.Choice(["mse", "polaris", "istio"]))
@click.argument("source", metavar="FILE", type=click.Path(allow_dash=True))
@click.option("--strict", is_flag=True, help="Exit with 1 if anything is lost.")
def command(form: str, source: str, strict: bool) -> None:
    """Convert rules from MSE, Polaris (JSON) or Istio (YAML), and print them to stdout.

    FILE has the objects themselves, or the response of an API or of `kubectl get`; - is stdin. Everything that cannot be
    converted is listed on stderr. A lane whose conditions cannot be expressed here is imported closed, never widened. Exits
    with 1 if there is no lane.
    """
    from gateway.cli.failing import failing, show_losses
    from gateway.errors import GatewayError
    from gateway.ruletools.format import written
    from gateway.ruletools.formats import FormatError, import_rules, read_documents, require_lanes

    name = "<stdin>" if source == "-" else source
    with failing():
        text = _read(source, name)
        try:
            documents = read_documents(text)
        except FormatError as error:
            raise GatewayError(f"{name}: {error}") from error
        imported = import_rules(form, documents)
        try:
            require_lanes(form, imported)
        except FormatError as error:
            echo(str(error), err=True)
            for loss in imported.losses:
                echo(f"{loss.place}: {loss.message}" if loss.place else loss.message, err=True)
            sys.exit(1)
    echo_text(written(imported.groups))
    show_losses(imported.losses, strict)


def _read(source: str, name: str) -> str:
    """The text of a file, a pipe or stdin. Raises ConfigError."""
    from pathlib import Path

    from gateway.errors import ConfigError, Problem
    from gateway.files import MAX_TEXT

    try:
        if source == "-":
            content = sys.stdin.buffer.read(MAX_TEXT + 1)
        else:
            with Path(source).open("rb") as file:  # the name may be that of a pipe
                content = file.read(MAX_TEXT + 1)
        if len(content) <= MAX_TEXT:
            return content.decode("utf-8-sig")
        message = f"the file has more than {MAX_TEXT >> 20} MiB"
    except UnicodeDecodeError as error:
        message = f"the file is not UTF-8 (byte {error.start})"
    except OSError as error:
        message = f"cannot read the file: {error.strerror or error}"
    raise ConfigError([Problem(name, 1, 1, message)])
