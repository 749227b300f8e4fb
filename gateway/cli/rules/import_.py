"""`gateway rules import`."""

from __future__ import annotations

import sys

import click

from gateway.cli.output import echo, echo_text


@click.command("import", short_help="Make rules of MSE, Polaris or Istio.")
@click.argument("form", metavar="FORMAT", type=click.Choice(["mse", "polaris", "istio"]))
@click.argument("source", metavar="FILE", type=click.Path(allow_dash=True))
@click.option("--strict", is_flag=True, help="Exit code 1 where anything is lost.")
def command(form: str, source: str, strict: bool) -> None:
    """Make rules of MSE, Polaris (JSON) or Istio (YAML) and write them to stdout.

    FILE may be - for stdin; it has the objects themselves, or what an API or `kubectl get` answers with them. What does not
    fit is listed on stderr; a lane whose conditions cannot be said here is imported closed, never widened. Exit code 1 where
    there is no lane in it.
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
    """What a file, a pipe or stdin says. Raises ConfigError."""
    from pathlib import Path

    from gateway.errors import ConfigError, Problem
    from gateway.files import MAX_TEXT

    try:
        if source == "-":
            content = sys.stdin.buffer.read(MAX_TEXT + 1)
        else:
            with Path(source).open("rb") as file:  # whoever types a name may name a pipe
                content = file.read(MAX_TEXT + 1)
        if len(content) <= MAX_TEXT:
            return content.decode("utf-8-sig")
        message = f"it has more than {MAX_TEXT >> 20} MiB"
    except UnicodeDecodeError as error:
        message = f"the file is not UTF-8 (byte {error.start})"
    except OSError as error:
        message = f"cannot read the file: {error.strerror or error}"
    raise ConfigError([Problem(name, 1, 1, message)])
