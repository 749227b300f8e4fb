"""`gateway registry status`."""

from __future__ import annotations

from typing import Any

import click

from gateway.cli.client import server_options
from gateway.cli.output import echo_json, output_option, print_table
from gateway.shapes import COUNT, NUMBER, TEXT, Maybe

REGISTRATION = {"state": TEXT, "age": Maybe(NUMBER), "reason": Maybe(TEXT)}
WANTS = {
    "registries": [
        {
            "name": TEXT,
            "kind": TEXT,
            "address?": Maybe(TEXT),
            "generation?": Maybe(TEXT),
            "services": COUNT,
            "troubled": COUNT,
            "registration?": Maybe(REGISTRATION),
        }
    ]
}


@click.command("status", short_help="Show the registries that a running gateway or sidecar uses.")
@server_options(required=True)
@output_option("table")
def command(server: str, token: str | None, output: str) -> None:
    """Show the registries that a running gateway or sidecar uses, with the number of services in trouble.

    \b
    gateway registry status --server 127.0.0.1:9900
    """
    from gateway.cli.client import ask
    from gateway.cli.failing import failing

    with failing():
        registries = ask(server, "GET", "/api/v1/status", token, wants=WANTS)["registries"]
    if output == "json":
        echo_json({"registries": registries})
        return
    heads = ["registry", "kind", "address", "api", "services", "troubled"]
    rows = [
        [item["name"], item["kind"], item.get("address"), item.get("generation"), item["services"], item["troubled"]]
        for item in registries
    ]
    if any("registration" in item for item in registries):  # a sidecar's
        heads.append("this instance")
        rows = [[*row, _shown(item.get("registration"))] for row, item in zip(rows, registries, strict=True)]
    print_table(heads, rows)


def _shown(registration: dict[str, Any] | None) -> str:
    """The state of a registration, its age, and the reason for it."""
    if registration is None:
        return ""
    age = "" if registration["age"] is None else f", reported {registration['age']:.1f} s ago"
    reason = f": {registration['reason']}" if registration["reason"] else ""
    return f"{registration['state']}{age}{reason}"
