"""`gateway release promote`."""

from __future__ import annotations

import click

from gateway.cli.release.asking import action

command = action(
    "promote",
    "Let the next batch begin, or a pause end.",
    click.option("--full", is_flag=True, help="Through all batches."),
)
