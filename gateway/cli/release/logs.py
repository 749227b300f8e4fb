"""`gateway release logs`."""

from __future__ import annotations

import time
from urllib.parse import quote

import click

from gateway.cli.output import echo_json, echo_text
from gateway.cli.release.asking import Ask, asks
from gateway.errors import GatewayError
from gateway.shapes import COUNT, TEXT

LOOK = 0.5
"""Seconds between two looks."""


@click.command("logs", short_help="Show the logs of instances, or of a command of an order.")
@click.argument("app")
@click.argument("environment")
@click.argument("log", required=False)
@click.option("-f", "--follow", is_flag=True, help="Follow the log until Ctrl-C.")
@asks
def command(app: str, environment: str, log: str | None, follow: bool, ask: Ask, output: str) -> None:
    """Show a log of an application's instances: LOG, or the newest of an application.

    -o json lists them if no LOG is given; else each piece of a log is one line of JSON, with its `text`.

    A number as APP and a task as ENVIRONMENT show what a command of an order says: `logs 3 build.1.a`.
    """
    if app.isdigit():
        base = f"/api/v1/orders/{app}/tasks/{quote(environment, safe='')}/log"
    else:
        folder = f"/api/v1/apps/{quote(app, safe='')}/{quote(environment, safe='')}/logs"
        names = ask("GET", folder, wants={"logs": [TEXT]})["logs"]
        if output == "json" and log is None:
            echo_json({"logs": names})
            return
        mine = [name for name in names if name.endswith("app")]
        name = log or (mine[-1] if mine else None)
        if name is None:
            raise GatewayError(f"{app} has no log in {environment} yet")
        base = f"{folder}/{quote(name, safe='', errors='replace')}"
    offset = 0
    while True:
        found = ask("GET", f"{base}?offset={offset}", wants={"text": TEXT, "next": COUNT})
        if output == "text":
            echo_text(found["text"])
        elif found["text"] or not (offset or follow):
            echo_json(found, None)
        moved, offset = found["next"] != offset, found["next"]
        if not follow and not moved:
            return
        if not moved:
            time.sleep(LOOK)
