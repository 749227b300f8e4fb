"""`gateway sidecar`."""

from __future__ import annotations

from pathlib import Path

import click

from gateway.cli.running import run_program, set_option


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
def command(config: Path, overrides: tuple[str, ...]) -> None:
    """Run the sidecar of one service instance.

    SIGTERM drains and exits, SIGHUP reloads; the files are also watched. Exit code 3: could not start.
    """
    from gateway.app.sidecar import Sidecar

    run_program(Sidecar(config, overrides))
