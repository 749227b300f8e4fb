"""`gateway schema`."""

from __future__ import annotations

import click

from gateway.cli.output import echo_json


@click.command(
    "schema", short_help="Print the JSON Schema of a file format, or the OpenAPI description of the admin API."
)
@click.argument("kind", type=click.Choice(["rules", "rule-tests", "gateway", "sidecar", "openapi"]))
def command(kind: str) -> None:
    """Print the JSON Schema of a file format, for editors, or the OpenAPI description of the admin API, for clients.

    \b
    gateway schema rules > rules.schema.json
    gateway schema openapi > admin-api.json

    Editors with the YAML language server find a schema through a comment in the first line of a file:
    `# yaml-language-server: $schema=rules.schema.json`. The release server describes its own API: `GET /openapi.json`.
    """
    if kind == "openapi":
        from gateway.admin.openapi import describe

        echo_json(describe())
    else:
        from gateway.ruletools.schema import schema_of

        echo_json(schema_of(kind))
