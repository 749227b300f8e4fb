"""`gateway release serve`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from gateway.cli.running import runs_until_signal

if TYPE_CHECKING:
    from gateway.app.running import Program


@click.command("serve", short_help="Run the release server.")
@click.option(
    "-c",
    "--config",
    type=click.Path(path_type=Path),
    default=Path("config/release.yaml"),
    show_default=True,
    help="Configuration file.",
)
@runs_until_signal
def command(config: Path) -> Program:
    """Run the release server.

    Orders and what they have deployed continue after a restart, and after a kill -9. Exit code 3: could not start.
    """
    from gateway.cli.release.extra import needs_extra

    with needs_extra():
        from gateway.app.release import ReleaseProgram

    return ReleaseProgram(config)
