"""`gateway release lock`."""

from __future__ import annotations

import click

from gateway.cli.release.asking import Ask, asks, reason_option
from gateway.cli.release.envs import ENVIRONMENTS, show_environments


@click.command("lock", short_help="Lock an environment: no new orders.")
@click.argument("environment")
@reason_option
@asks
def command(environment: str, reason: str, ask: Ask, output: str) -> None:
    """Lock an environment: no new orders."""
    from urllib.parse import quote

    path = f"/api/v1/environments/{quote(environment, safe='')}/lock"
    show_environments(ask("POST", path, {"reason": reason}, wants=ENVIRONMENTS), output)
