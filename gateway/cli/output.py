"""How commands show things: tables and progress for people. The only module that uses rich."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

PIPE_WIDTH = 1 << 20
"""Columns that a table may take where stdout is no terminal: a program that reads it wants whole cells, a line a row."""


def print_table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Prints a table to stdout; colours follow the terminal and NO_COLOR. A terminal folds long cells, a pipe does not."""
    table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0), header_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*("" if cell is None else str(cell) for cell in row))
    console = Console(width=None if sys.stdout.isatty() else PIPE_WIDTH, highlight=False, markup=False)
    console.print(table)


def show_progress(text: str) -> None:
    """Says on stderr what is going on, where a person is watching."""
    if sys.stderr.isatty():
        Console(stderr=True, highlight=False, markup=False).print(f"… {text}", style="dim")
