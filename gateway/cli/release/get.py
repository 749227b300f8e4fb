"""`gateway release get`."""

from __future__ import annotations

import json
import time

import click

from gateway.cli.output import echo_json, live_lines
from gateway.cli.release.asking import Ask, asks, find_order, look_again, order_argument, show
from gateway.cli.release.tree import ORDER, tree

LOOK = 0.5
"""Seconds between two looks."""


@click.command("get", short_help="Show an order as a tree; -w to follow it.")
@order_argument
@click.option(
    "-w", "--watch", is_flag=True, help="Follow the order until it ends. Ctrl-C stops following, not the order."
)
@asks
def command(order: int | None, watch: bool, ask: Ask, output: str) -> None:
    """Show an order as a tree: its steps, what each does now and how long it took, what comes next.

    ORDER is the number of an order; left out: the newest that has not ended.
    """
    number = find_order(ask, order)
    found = ask("GET", f"/api/v1/orders/{number}", wants=ORDER)
    if not watch:
        show(found, output)
        return
    if output == "json":
        said = None
        while True:
            if found["revision"] != said:
                said = found["revision"]
                echo_json(json.loads(json.dumps(found)), None)
            if found["state"] in ("SUCCESS", "CANCELED"):
                return
            time.sleep(LOOK)
            found, _ = look_again(ask, found)
    with live_lines() as shown:
        shown(tree(found))
        while found["state"] not in ("SUCCESS", "CANCELED"):
            time.sleep(LOOK)
            found, trouble = look_again(ask, found)
            shown([*tree(found), *([trouble] if trouble else [])])
