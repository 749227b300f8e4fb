"""`gateway registry watch`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import click

from gateway.cli.client import server_options
from gateway.cli.output import echo, echo_json, output_option
from gateway.shapes import FLAG, NUMBER, TEXT, Maybe

INTERVAL = 0.5
"""Seconds between two polls."""
INSTANCE = {"address": TEXT, "weight": NUMBER, "enabled": FLAG, "healthy": FLAG, "ejected": FLAG, "kept": FLAG}
WANTS = {
    "services": [
        {
            "service": TEXT,
            "registries": [{"registry": TEXT, "state": TEXT, "reason": Maybe(TEXT)}],
            "pools": [{"tag": TEXT, "instances": [INSTANCE]}],
        }
    ]
}


@click.command("watch", short_help="Print each change as it happens.")
@click.argument("services", nargs=-1)
@server_options(required=True)
@output_option("text")
def command(services: tuple[str, ...], server: str, token: str | None, output: str) -> None:
    """Print each change in what a running gateway or sidecar knows about SERVICES [default: all].

    Prints everything known first, then each change: instances that appear (+), disappear (-) or change (~), and states of
    registries. Runs until Ctrl-C. -o json prints one object per line.

    \b
    gateway registry watch --server 127.0.0.1:9900
    """
    import time
    from datetime import datetime

    from gateway.cli.client import ask
    from gateway.cli.failing import failing
    from gateway.errors import GatewayError

    known: dict[str, dict[str, str]] = {}
    is_first, was_away = True, False
    while True:
        with failing():
            try:
                found = _picture(ask(server, "GET", "/api/v1/services", token, wants=WANTS)["services"], services)
                was_away = False
            except GatewayError as error:
                if is_first:
                    raise
                if not was_away:
                    echo(f"{error}; waiting for it", err=True)
                was_away, found = True, known
        now = datetime.now().astimezone()
        for change in _changes(known, found):
            if output == "json":
                echo_json({"at": now.isoformat(timespec="milliseconds"), **change}, indent=None)
            else:
                echo(f"{now:%H:%M:%S}  {change['service']}  {change['change']} {change['subject']}  {change['is']}")
        known, is_first = found, False
        time.sleep(INTERVAL)


def _picture(services: list[dict[str, Any]], wanted: tuple[str, ...]) -> dict[str, dict[str, str]]:
    """For each service, the text of every registry state and instance, by name."""
    picture: dict[str, dict[str, str]] = {}
    for service in services:
        if wanted and service["service"] not in wanted:
            continue
        facts = picture[service["service"]] = {}
        for registry in service["registries"]:
            why = f": {registry['reason']}" if registry["reason"] else ""
            facts[f"registry {registry['registry']}"] = registry["state"] + why
        for pool in service["pools"]:
            for item in pool["instances"]:
                flaws = [
                    word
                    for word, is_so in (
                        ("disabled", not item["enabled"]), ("unhealthy", not item["healthy"]), ("ejected", item["ejected"]),
                        ("kept", item["kept"]),
                    )
                    if is_so
                ]  # fmt: skip
                facts[item["address"]] = ", ".join([pool["tag"], f"weight {item['weight']:g}", *flaws])
    return picture


def _changes(known: dict[str, dict[str, str]], found: dict[str, dict[str, str]]) -> Iterator[dict[str, str]]:
    for service in sorted(known.keys() | found.keys()):
        before, after = known.get(service, {}), found.get(service, {})
        for subject in sorted(before.keys() | after.keys()):
            old, new = before.get(subject), after.get(subject)
            if old != new:
                change = "+" if old is None else "-" if new is None else "~"
                yield {"service": service, "change": change, "subject": subject, "is": new or old or ""}
