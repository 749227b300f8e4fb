"""`gateway release abort`."""

from __future__ import annotations

import click

from gateway.cli.release.asking import action

command = action(
    "abort",
    "Undo an order: traffic first, then what was deployed.",
    click.option("--keep", is_flag=True, help="End a failed order as it is; undo nothing."),
)
