"""`gateway release status`."""

from __future__ import annotations

import sys
import time

import click

from gateway.cli.output import echo, echo_json
from gateway.cli.release.asking import Ask, asks, find_order, look_again, order_argument
from gateway.cli.release.tree import ORDER

LOOK = 0.5
"""Seconds between two looks."""


@click.command("status", short_help="Wait for the end of an order: exit code 0 or 1.")
@order_argument
@click.option("--timeout", default=600.0, show_default=True, metavar="SECONDS", help="How long to wait; 0: not at all.")
@asks
def command(order: int | None, timeout: float, ask: Ask, output: str) -> None:
    """Wait for the end of an order, for CI: exit code 0 if it succeeded, 1 if it failed, was taken back, or takes too long."""
    number = find_order(ask, order)
    deadline = time.monotonic() + timeout
    found = ask("GET", f"/api/v1/orders/{number}", wants=ORDER)
    while found["state"] not in ("SUCCESS", "CANCELED", "FAILED") and time.monotonic() < deadline:
        time.sleep(min(LOOK, max(0.0, deadline - time.monotonic())))
        found, _ = look_again(ask, found)
    state = found["state"]
    if output == "json":
        echo_json({"order": number, "state": state})
    else:
        echo(f"order {number}: {state}")
    sys.exit(0 if state == "SUCCESS" else 1)
