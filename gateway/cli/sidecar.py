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
    default=Path("config/sidecar.yaml"),
    show_default=True,
    help="Configuration file.",
)
@set_option
@runs_until_signal
def command(config: Path, overrides: tuple[str, ...]) -> Program:
    """Run the sidecar of one service instance.

    SIGTERM drains and exits, SIGHUP reloads, SIGUSR1 opens logs anew; the files are also watched. Exit code 3: could not
    start.
    """
    from gateway.app.sidecar import Sidecar

    return Sidecar(config, overrides)
