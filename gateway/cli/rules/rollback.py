"""`gateway rules rollback`."""

from __future__ import annotations

import click

from gateway.cli.client import server_options
from gateway.cli.output import echo, echo_text
from gateway.shapes import COUNT, TEXT


@click.command("rollback", short_help="Make an earlier revision of a running gateway the current one.")
@click.argument("revision", type=int)
@server_options(required=True)
@click.option("--author", envvar="USER", metavar="NAME", help="Author of the change, for the history. [default: $USER]")
@click.option("--dry-run", is_flag=True, help="Show what would change, but change nothing.")
def command(revision: int, server: str, token: str | None, author: str | None, dry_run: bool) -> None:
    """Make an earlier REVISION of a running gateway's rules the current one.

    \b
    gateway rules rollback 12 --server 127.0.0.1:9900

    The rule files (or remote documents) are written as they were in that revision, which creates a new revision. Segments
    do not change.
    """
    from gateway.cli.client import ask
    from gateway.cli.failing import failing

    with failing():
        path = f"/api/v1/history/{revision}/rollback?dry_run={'true' if dry_run else 'false'}"
        done = ask(server, "POST", path, token, {}, author, wants={"diff": TEXT, "revision": COUNT})
    echo_text(done["diff"])
    if not done["diff"]:
        echo(f"the rules are already those of revision {revision}", err=True)
    elif dry_run:
        echo("nothing was changed", err=True)
    else:
        echo(f"revision {done['revision']} now has the rules of revision {revision}", err=True)
