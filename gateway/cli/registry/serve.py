"""`gateway registry serve`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from gateway.cli.running import runs_until_signal

if TYPE_CHECKING:
    from gateway.app.running import Program


@click.command("serve", short_help="Run the embedded registry alone (Nacos-compatible HTTP API).")
@click.option("--listen", default="127.0.0.1:8848", show_default=True, metavar="HOST:PORT", help="Address to serve on.")
@click.option(
    "--warmup",
    default=15.0,
    show_default=True,
    metavar="SECONDS",
    help="How long lists answer 503 while instances register again; 0 where the registry starts for the first time.",
)
@click.option(
    "--data", type=click.Path(path_type=Path, file_okay=False), help="Directory that keeps published configs."
)
@runs_until_signal
def command(listen: str, warmup: float, data: Path | None) -> Program:
    """Run the embedded registry alone (Nacos-compatible HTTP API)."""
    from gateway.app.running import RegistryProgram
    from gateway.registry.embedded.server import EmbeddedRegistry

    host, colon, port = listen.rpartition(":")
    if not colon or not port.isdigit() or int(port) > 65535:
        raise click.BadParameter(f"{listen!r} is not HOST:PORT", param_hint="--listen")
    return RegistryProgram(EmbeddedRegistry(host, int(port), warmup=warmup, data=data), host, int(port))
