"""`gateway serve`."""

from __future__ import annotations

from pathlib import Path

import click

from gateway.cli.running import run_program, set_option


@click.command("serve", short_help="Run the entry gateway.")
@click.option(
    "-c",
    "--config",
    type=click.Path(path_type=Path),
    default=Path("config/gateway.yaml"),
    show_default=True,
    help="Configuration file.",
)
@set_option
def command(config: Path, overrides: tuple[str, ...]) -> None:
    """Run the entry gateway.

    SIGTERM drains and exits, SIGHUP reloads; the files are also watched. Exit code 3: could not start.
    """
    from gateway.app.entry import EntryGateway

    run_program(EntryGateway(config, overrides))
