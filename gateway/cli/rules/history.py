"""`gateway rules history`."""

from __future__ import annotations

import click

from gateway.cli.client import server_options
from gateway.cli.output import echo_json, echo_text, output_option, print_table
from gateway.printable import printable
from gateway.shapes import COUNT, MOMENT, TEXT, Each, Maybe

LIST = {"revisions": [{"revision": COUNT, "at": MOMENT, "author": Maybe(TEXT), "cause": TEXT}]}
ONE = {"files": Each(TEXT)}


@click.command("history", short_help="Show the revisions of a running gateway.")
@click.argument("revision", type=int, required=False)
@server_options(required=True)
@output_option("table")
def command(revision: int | None, server: str, token: str | None, output: str) -> None:
    """Show the revisions of a running gateway's rules, newest first, or the files of one REVISION.

    \b
    gateway rules history --server 127.0.0.1:9900
    gateway rules history 12 --server 127.0.0.1:9900
    """
    from gateway.cli.client import ask
    from gateway.cli.failing import failing

    with failing(output):
        path = "/api/v1/history" if revision is None else f"/api/v1/history/{revision}"
        found = ask(server, "GET", path, token, wants=LIST if revision is None else ONE)
    if output == "json":
        echo_json(found)
    elif revision is None:
        rows = [
            [item["revision"], _show_time(item["at"]), item["author"] or "", item["cause"]]
            for item in found["revisions"]
        ]
        print_table(["revision", "at", "author", "cause"], rows)
    else:
        for name, text in found["files"].items():
            echo_text(f"# {printable(name)}\n{text.rstrip()}\n\n")


def _show_time(seconds: float) -> str:
    from datetime import datetime

    return datetime.fromtimestamp(seconds).astimezone().isoformat(sep=" ", timespec="seconds")
