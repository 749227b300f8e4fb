"""`gateway release run`."""

from __future__ import annotations

import click

from gateway.cli.release.asking import Ask, asks, reason_option, show
from gateway.cli.release.options import image_option, set_option
from gateway.cli.release.tree import ORDER


@click.command("run", short_help="Start an order: release one or several applications.")
@click.argument("apps", metavar="APP[=VERSION]...", nargs=-1, required=True)
@click.option("--workflow", metavar="NAME", help="A different workflow from the applications'.")
@image_option
@set_option
@click.option("--dry-run", is_flag=True, help="Show what the order would do, but start none.")
@reason_option
@asks
def command(
    apps: tuple[str, ...],
    workflow: str | None,
    images: dict[str, str],
    values: dict[str, str],
    dry_run: bool,
    reason: str,
    ask: Ask,
    output: str,
) -> None:
    """Start an order: release one or several applications together.

    Without a version an application gets the next number.
    """
    wanted = {name: version or None for name, _, version in (app.partition("=") for app in apps)}
    body = {
        "apps": wanted, "workflow": workflow, "images": images, "values": values, "reason": reason, "dry_run": dry_run,
    }  # fmt: skip
    show(ask("POST", "/api/v1/orders", body, wants=ORDER), output)
