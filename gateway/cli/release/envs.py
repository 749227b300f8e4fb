"""`gateway release envs`."""

from __future__ import annotations

from typing import Any

import click

from gateway.cli.output import echo_json, print_table
from gateway.cli.release.asking import Ask, asks
from gateway.shapes import COUNT, TEXT, Maybe

LOCK = {"by": TEXT, "reason": TEXT}
ENVIRONMENTS = {
    "environments": [
        {"environment": TEXT, "level": TEXT, "state": TEXT, "lock": Maybe(LOCK), "order": Maybe(COUNT)},
    ]
}


@click.command("envs", short_help="Show every environment, its lock and its order.")
@asks
def command(ask: Ask, output: str) -> None:
    """Show every environment: its state, who has locked it and why, and the order that it is a part of."""
    show_environments(ask("GET", "/api/v1/environments", wants=ENVIRONMENTS), output)


def show_environments(found: dict[str, Any], output: str) -> None:
    """Prints environments."""
    if output == "json":
        echo_json(found)
        return
    rows = [
        [
            item["environment"],
            item["level"],
            item["state"],
            "" if item["lock"] is None else f"{item['lock']['by']}: {item['lock']['reason']}",
            item["order"],
        ]
        for item in found["environments"]
    ]
    print_table(["environment", "level", "state", "locked by", "order"], rows)
