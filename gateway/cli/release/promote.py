"""`gateway release promote`."""

from __future__ import annotations

import click

from gateway.cli.release.asking import action

command = action(
    "promote",
    "Start the next batch, or end a pause.",
    click.option("--full", is_flag=True, help="All remaining batches."),
)
