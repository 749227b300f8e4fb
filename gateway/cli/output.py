"""How commands show things: tables and progress for people. The only module that uses rich."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table


def print_table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Prints a table to stdout; colours follow the terminal and NO_COLOR."""
    table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0), header_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*("" if cell is None else str(cell) for cell in row))
    console = Console(soft_wrap=not sys.stdout.isatty(), highlight=False, markup=False)
    if not sys.stdout.isatty():
        console.width = 200
    console.print(table)


def show_progress(text: str) -> None:
    """Says on stderr what is going on, where a person is watching."""
    if sys.stderr.isatty():
        Console(stderr=True, highlight=False, markup=False).print(f"… {text}", style="dim")
