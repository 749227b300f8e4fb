"""`gateway release undo`."""

from __future__ import annotations

import click

from gateway.cli.release.asking import Ask, asks, reason_option, show
from gateway.cli.release.tree import ORDER


@click.command("undo", short_help="Go back to an earlier version.")
@click.argument("app")
@click.argument("environment")
@click.option(
    "--to", "version", metavar="VERSION", help="The version; default: the previous one. `history` lists them."
)
@reason_option
@asks
def command(app: str, environment: str, version: str | None, reason: str, ask: Ask, output: str) -> None:
    """Bring an earlier version of an application back, in one environment, as it was deployed then."""
    body = {"app": app, "environment": environment, "version": version, "reason": reason}
    show(ask("POST", "/api/v1/undo", body, wants=ORDER), output)
