"""`gateway registry status`."""

from __future__ import annotations

import click

from gateway.cli.asking import server_options
from gateway.cli.output import echo_json, print_table


@click.command("status", short_help="Show the registries that a running gateway or sidecar asks.")
@server_options(required=True)
@click.option("-o", "--output", type=click.Choice(["table", "json"]), default="table", show_default=True)
def command(server: str, token: str | None, output: str) -> None:
    """Show the registries that a running gateway or sidecar asks: where they are, and how many services are in trouble.

    \b
    gateway registry status --server 127.0.0.1:9900
    """
    from gateway.cli.asking import ask
    from gateway.cli.failing import failing

    with failing():
        registries = ask(server, "GET", "/api/v1/status", token, wants="registries")["registries"]
    if output == "json":
        echo_json({"registries": registries})
        return
    print_table(
        ["registry", "kind", "address", "api", "services", "troubled"],
        [
            [item["name"], item["kind"], item.get("address"), item.get("generation"), item["services"], item["troubled"]]
            for item in registries
        ],
    )  # fmt: skip
