"""`gateway sidecar`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from gateway.cli.running import runs_until_signal, set_option

if TYPE_CHECKING:
    from gateway.app.running import Program


@click.command("sidecar", short_help="Run the sidecar of one service instance.")
@click.option(
    "-c",
    "--config",
    type=click.Path(path_type=Path),
    metavar="FILE",
    default=Path("config/sidecar.yaml"),
    show_default=True,
    help="Configuration file.",
)
@set_option
@runs_until_signal
def command(config: Path, overrides: tuple[str, ...]) -> Program:
    """Run the sidecar of one service instance.

    SIGTERM drains and exits, SIGHUP reloads, SIGUSR1 reopens the access log. Files are watched and reloaded when they
    change. Exits with 3 if it cannot start.
    """
    from gateway.app.sidecar import Sidecar

    return Sidecar(config, overrides)
