"""`gateway rules diff`."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from io import TextIOWrapper
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gateway.cli.output import echo, echo_json, output_option, print_table

if TYPE_CHECKING:
    from gateway.rules.ruleset import RuleSet


@click.command("diff", short_help="Show which recorded requests would move under other rules.")
@click.argument("old", type=click.Path(path_type=Path))
@click.argument("new", type=click.Path(path_type=Path))
@click.option(
    "--requests",
    "log",
    type=click.Path(allow_dash=True),
    required=True,
    metavar="FILE",
    help="Requests or an access log, as JSON lines; - is stdin.",
)
@click.option("--entry", default="gateway", show_default=True, metavar="NAME", help="Name of the entry gateway.")
@output_option("table")
def command(old: Path, new: Path, log: str, entry: str, output: str) -> None:
    """Show which recorded requests would move under other rules.

    \b
    gateway rules diff rules draft --requests access.log

    OLD and NEW are rule files or directories. An access log can serve as the file of requests, but it has only the headers
    in `access_log.headers`, and no bodies or tokens. Exits with 1 if a request would move.
    """
    import time

    from gateway.cli.failing import counted, failing
    from gateway.rules.environment import MatchEnvironment, Place
    from gateway.ruletools.whatif import compare, read_records, require_records

    with failing(output):
        before, after = _load(old, new)
        environment = MatchEnvironment(time.time, place=Place(entry))
        with _opened(log) as lines:
            found = compare(before, after, environment, read_records(lines))
        require_records(found, "<stdin>" if log == "-" else log)
    if output == "json":
        echo_json(found.as_dict())
    else:
        _show(found.as_dict())
        unread = f"; {counted(found.unread, 'line')} could not be read" if found.unread else ""
        echo(f"{found.moved} of {counted(found.total, 'request')} would move{unread}", err=True)
    if found.moved:
        sys.exit(1)


def _load(*paths: Path) -> list[RuleSet]:
    """The rules of each path. Raises ConfigError with the problems of all."""
    from gateway.errors import ConfigError, Problem
    from gateway.rulesources.files import load_rules

    found: list[RuleSet] = []
    problems: list[Problem] = []
    for path in paths:
        try:
            found.append(load_rules([path]).rules)
        except ConfigError as error:
            problems.extend(error.problems)
    if problems:
        raise ConfigError(problems)
    return found


@contextmanager
def _opened(log: str) -> Iterator[Iterable[str]]:
    """The lines of a file, or of stdin; bytes that are not UTF-8 affect only their own line. Raises ConfigError."""
    from gateway.errors import ConfigError, Problem

    if log == "-":
        stdin = TextIOWrapper(sys.stdin.buffer, encoding="utf-8", errors="replace")
        yield stdin
        stdin.detach()
        return
    try:
        with Path(log).open(encoding="utf-8", errors="replace") as lines:
            yield lines
    except OSError as error:
        raise ConfigError([Problem(log, 1, 1, f"cannot read the file: {error.strerror or error}")]) from error


def _show(result: dict[str, Any]) -> None:
    print_table(
        ["lane", "before", "after", ""],
        [[row["lane"], row["before"], row["after"], f"{row['after'] - row['before']:+d}"] for row in result["lanes"]],
    )
    if result["moves"]:
        echo()
        print_table(
            ["from", "to", "requests", "example"],
            [[move["from"], move["to"], move["requests"], move["examples"][0]] for move in result["moves"]],
        )
