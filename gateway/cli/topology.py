"""`gateway topology`."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

import click

from gateway.cli.client import ask, server_options
from gateway.cli.failing import failing
from gateway.cli.output import echo_json, output_option, print_table
from gateway.shapes import FLAG, NUMBER, TEXT, Maybe

COLUMNS = ("from", "to", "tag", "served by", "requests/s", "errors", "p95", "")
WANTS = {
    "edges": [
        {
            "from": TEXT,
            "to": TEXT,
            "tag": TEXT,
            "pool": TEXT,
            "fallback": Maybe(TEXT),
            "tag_lost": FLAG,
            "rate": NUMBER,
            "errors": NUMBER,
            "p95": NUMBER,
        }
    ]
}


@click.command("topology", short_help="Show which services called which of late, with which tag.")
@click.option("--lane", metavar="[GROUP/]LANE", help="Only requests that this lane took, and what they led to.")
@click.option(
    "--seconds", type=click.IntRange(1, 86400), default=60, show_default=True, help="How far back records count."
)
@server_options(required=True)
@output_option("table")
def command(lane: str | None, seconds: int, server: str, token: str | None, output: str) -> None:
    """Show which services called which of late, as a running gateway and the sidecars that deliver to it have recorded it.

    Rates are those of recorded requests: of busy traffic, only some are.

    \b
    gateway topology --server 127.0.0.1:9900 --lane gray
    """
    with failing(output):
        query = urlencode({"seconds": seconds, **({"lane": lane} if lane else {})})
        found = ask(server, "GET", f"/api/v1/topology?{query}", token, wants=WANTS)
        if output == "json":
            echo_json(found)
        else:
            print_table(COLUMNS, [_row(edge) for edge in found["edges"]])


def _row(edge: dict[str, Any]) -> list[str]:
    late = edge["p95"] * 1000
    note = "tag lost" if edge["tag_lost"] else f"fallback: {edge['fallback']}" if edge["fallback"] else ""
    errors = f"{edge['errors'] * 100:.1f} %" if edge["errors"] else "0"
    p95 = f"{late:.0f} ms" if late >= 10 else f"{late:.1f} ms"
    return [edge["from"], edge["to"], edge["tag"], edge["pool"], f"{edge['rate']:.1f}", errors, p95, note]
