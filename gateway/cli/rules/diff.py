"""`gateway rules diff`."""

from __future__ import annotations

from pathlib import Path
from typing import TextIO

import click

from gateway.cli.output import echo, echo_json, print_table


@click.command("diff", short_help="Say which recorded requests would move under other rules.")
@click.argument("old", type=click.Path(path_type=Path))
@click.argument("new", type=click.Path(path_type=Path))
@click.option(
    "--requests",
    "log",
    type=click.File(),
    required=True,
    metavar="FILE",
    help="Requests, or an access log in JSON; - is stdin.",
)
@click.option("--entry", default="gateway", show_default=True, help="The name of the entry gateway.")
@click.option("-o", "--output", type=click.Choice(["table", "json"]), default="table", show_default=True)
def command(old: Path, new: Path, log: TextIO, entry: str, output: str) -> None:
    """Say which recorded requests would move under other rules.

    \b
    gateway rules diff rules draft --requests access.log

    OLD and NEW are files or directories of rules. The access log is such a file of requests, as far as it goes: it has only
    the headers that `access_log.headers` names, and no bodies or tokens.
    """
    import time

    from gateway.cli.failing import counted, failing
    from gateway.control.rulefiles import load_rules
    from gateway.control.whatif import compare, read_records, require_records
    from gateway.rules.surroundings import Place, Surroundings

    with failing():
        before, after = load_rules([old]).rules, load_rules([new]).rules
        around = Surroundings(time.time, place=Place(entry))
        found = compare(before, after, around, read_records(log))
        require_records(found, log.name)
    result = found.as_dict()
    if output == "json":
        echo_json(result)
        return
    print_table(
        ["lane", "before", "after", ""],
        [[row["lane"], row["before"], row["after"], f"{row['after'] - row['before']:+d}"] for row in result["lanes"]],
    )
    if result["moves"]:
        echo()
        print_table(
            ["from", "to", "requests", "such as"],
            [[move["from"], move["to"], move["requests"], move["examples"][0]] for move in result["moves"]],
        )
    unread = f"; {counted(found.unread, 'line')} could not be read" if found.unread else ""
    echo(f"{found.moved} of {counted(found.total, 'request')} would move{unread}", err=True)
