"""`gateway release history`."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

import click

from gateway.cli.output import echo_json, print_table
from gateway.cli.release.asking import Ask, asks
from gateway.shapes import COUNT, MOMENT, TEXT, Maybe

ACTION = {"at": MOMENT, "actor": TEXT, "order?": Maybe(COUNT), "reason": TEXT}
AUDIT = {"lines": [{**ACTION, "action": TEXT, "subject": TEXT}]}
VERSIONS = {"versions": [{**ACTION, "application": TEXT, "environment": TEXT, "version": Maybe(TEXT)}]}


@click.command("history", short_help="Show what ran where and who did what.")
@click.argument("app", required=False)
@click.option("--env", "environment", metavar="NAME", help="Only one environment.")
@click.option("--audit", is_flag=True, help="Show every action instead: who did what, and why.")
@asks
def command(app: str | None, environment: str | None, audit: bool, ask: Ask, output: str) -> None:
    """Show the versions that ran, the newest first; or the audit log, the oldest first."""
    if audit:
        found = ask("GET", "/api/v1/audit", wants=AUDIT)
        names, rows = ["at", "actor", "action", "subject", "order", "reason"], found["lines"]
    else:
        query = {key: value for key, value in (("app", app), ("environment", environment)) if value}
        found = ask("GET", f"/api/v1/history?{urlencode(query)}", wants=VERSIONS)
        names, rows = ["at", "application", "environment", "version", "order", "actor", "reason"], found["versions"]
    if output == "json":
        echo_json(found)
        return
    cells = [[_shown(name, row.get(name)) for name in names] for row in rows]
    print_table(names, cells)


def _shown(name: str, value: Any) -> Any:
    if name == "at":
        return f"{datetime.fromtimestamp(value, UTC):%Y-%m-%d %H:%M:%S}"
    return "removed" if name == "version" and value is None else value
