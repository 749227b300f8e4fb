"""`gateway mirror`."""

from __future__ import annotations

from typing import Any

import click

from gateway.cli.client import ask, server_options
from gateway.cli.failing import failing
from gateway.cli.output import echo_json, output_option, print_table
from gateway.shapes import TEXT

COLUMNS = ("lane", "service", "instance", "request", "what", "baseline", "lane says")
WANTS = {
    "mirrored": [
        {
            "lane": TEXT,
            "service": TEXT,
            "instance": TEXT,
            "method": TEXT,
            "path": TEXT,
            "differences": [{"what": TEXT, "baseline": TEXT, "lane": TEXT}],
        }
    ]
}


@click.command("mirror", short_help="Show where the responses of lanes that mirror the baseline are different.")
@server_options(required=True)
@output_option("table")
def command(server: str, token: str | None, output: str) -> None:
    """Show the latest requests whose copy got another response from a lane than the original from the baseline.

    \b
    gateway mirror --server 127.0.0.1:9900
    """
    with failing(output):
        found = ask(server, "GET", "/api/v1/mirrors", token, wants=WANTS)
        if output == "json":
            echo_json(found)
        else:
            print_table(COLUMNS, [row for item in found["mirrored"] for row in _rows(item)])


def _rows(item: dict[str, Any]) -> list[list[str]]:
    request = f"{item['method']} {item['path']}"
    return [
        [item["lane"], item["service"], item["instance"], request, found["what"], found["baseline"], found["lane"]]
        for found in item["differences"]
    ]
