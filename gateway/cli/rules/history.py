"""`gateway rules history`."""

from __future__ import annotations

import json

import click

from gateway.cli.asking import server_options


@click.command("history", short_help="Show the revisions of a running gateway.")
@click.argument("revision", type=int, required=False)
@server_options(required=True)
@click.option("-o", "--output", type=click.Choice(["table", "json"]), default="table", show_default=True)
def command(revision: int | None, server: str, token: str | None, output: str) -> None:
    """Show the revisions of a running gateway's rules, the newest first; or the files of one REVISION.

    \b
    gateway rules history --server 127.0.0.1:9900
    gateway rules history 12 --server 127.0.0.1:9900
    """
    from gateway.cli.asking import ask
    from gateway.cli.failing import failing
    from gateway.cli.output import print_table

    with failing(output):
        path = "/api/v1/history" if revision is None else f"/api/v1/history/{revision}"
        found = ask(server, "GET", path, token)
    if output == "json":
        click.echo(json.dumps(found, indent=2, ensure_ascii=False))
    elif revision is None:
        rows = [
            [item["revision"], _show_time(item["at"]), item["author"] or "", item["cause"]]
            for item in found["revisions"]
        ]
        print_table(["revision", "at", "author", "cause"], rows)
    else:
        for name, text in found["files"].items():
            click.echo(f"# {name}\n{text.rstrip()}\n")


def _show_time(seconds: float) -> str:
    from datetime import datetime

    return datetime.fromtimestamp(seconds).astimezone().isoformat(sep=" ", timespec="seconds")
