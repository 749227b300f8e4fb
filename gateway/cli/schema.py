"""`gateway schema`."""

from __future__ import annotations

import click

from gateway.cli.output import echo_json


@click.command("schema", short_help="Print the JSON Schema of a file format, for editors.")
@click.argument("kind", type=click.Choice(["rules", "rule-tests", "gateway", "sidecar"]))
def command(kind: str) -> None:
    """Print the JSON Schema of a file format, for editors.

    \b
    gateway schema rules > rules.schema.json

    Editors with the YAML language server find it through a comment in the first line of a file:
    `# yaml-language-server: $schema=rules.schema.json`.
    """
    from gateway.ruletools.schema import schema_of

    echo_json(schema_of(kind))
