"""How commands print: the only module that prints, and that uses rich.

The texts come from registries, instances, other people and clients: they are made printable here, and nowhere else.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

import click

from gateway.printable import printable, printable_lines

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

F = TypeVar("F", bound=Callable[..., Any])

PIPE_WIDTH = 1 << 20
"""Columns that a table may use if stdout is not a terminal: a program that reads it needs whole cells, one row per line."""


def output_option(default: str) -> Callable[[F], F]:
    """The option `--output`: a form for people, which is the default (`text` or `table`), or `json`."""
    choice = click.Choice([default, "json"])
    return click.option("-o", "--output", type=choice, default=default, show_default=True, help="Output format.")


def echo(text: str = "", err: bool = False) -> None:
    """Prints one line, to stderr with `err`."""
    click.echo(printable(text), err=err)


def echo_text(text: str, err: bool = False) -> None:
    """Prints a text of several lines, including its last line end: exact to a file or a pipe, made printable to a terminal."""
    is_shown = (sys.stderr if err else sys.stdout).isatty()
    # `color`: without it, click removes escape sequences from what goes to a pipe, but data must stay exact.
    # A lone surrogate, which JSON can hold, has no bytes to be written as.
    exact = text.encode(errors="backslashreplace").decode()
    click.echo(printable_lines(text) if is_shown else exact, nl=False, err=err, color=True)


def echo_json(value: Any, indent: int | None = 2) -> None:
    """Prints a value as JSON, in ASCII."""
    click.echo(json.dumps(value, indent=indent))


def print_table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Prints a table to stdout; colours follow the terminal and NO_COLOR. A terminal folds long cells, a pipe does not."""
    _console().print(_table(columns, rows))


@contextmanager
def live_table(columns: Sequence[str]) -> Iterator[Callable[[Sequence[Sequence[object]]], None]]:
    """Shows a table whose rows change, in place, on a terminal."""
    from rich.live import Live

    with Live(console=_console(), auto_refresh=False, vertical_overflow="ellipsis") as live:
        yield lambda rows: live.update(_table(columns, rows), refresh=True)


def is_terminal() -> bool:
    """Whether stdout is one."""
    return sys.stdout.isatty()


def _console() -> Console:
    from rich.console import Console

    width = None if sys.stdout.isatty() else PIPE_WIDTH
    # Neither `[bold]` nor `:smile:` in a cell means anything.
    return Console(width=width, highlight=False, markup=False, emoji=False)


def _table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> Table:
    from rich.table import Table

    table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0), header_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*("" if cell is None else printable(str(cell)) for cell in row))
    return table


def show_progress(text: str) -> None:
    """Shows progress on stderr, if a person is watching."""
    if sys.stderr.isatty():
        from rich.console import Console

        Console(stderr=True, highlight=False, markup=False, emoji=False).print(f"… {printable(text)}", style="dim")


@contextmanager
def live_lines() -> Iterator[Callable[[Sequence[str]], None]]:
    """Shows lines that change: in place on a terminal; elsewhere those that are new, one after the other."""
    if not sys.stdout.isatty():
        known: set[str] = set()

        def add(lines: Sequence[str]) -> None:
            for line in lines:
                if line not in known:
                    known.add(line)
                    echo(line)

        yield add
        return
    from rich.console import Console
    from rich.live import Live
    from rich.text import Text

    with Live(console=Console(highlight=False, markup=False, emoji=False), auto_refresh=False) as live:

        def replace(lines: Sequence[str]) -> None:
            live.update(Text("\n".join(map(printable, lines))), refresh=True)

        yield replace
