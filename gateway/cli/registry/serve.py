"""`gateway registry serve`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from gateway.cli.running import runs_until_signal

if TYPE_CHECKING:
    from gateway.app.running import Program


def check_names(_: click.Context, __: click.Parameter, names: tuple[str, ...]) -> tuple[str, ...]:
    """The names as they are. Raises BadParameter for what is none."""
    from gateway.settings.fields import check_allowed_host

    try:
        return tuple(map(check_allowed_host, names))
    except ValueError as error:
        raise click.BadParameter(f"{error}") from error


@click.command("serve", short_help="Run the embedded registry alone (Nacos-compatible, HTTP and gRPC).")
@click.option("--listen", default="127.0.0.1:8848", show_default=True, metavar="HOST:PORT", help="Address to serve on.")
@click.option(
    "--warmup",
    default=15.0,
    show_default=True,
    metavar="SECONDS",
    help="How long lists answer 503 after a start while instances register again.",
)
@click.option(
    "--data",
    type=click.Path(path_type=Path, file_okay=False),
    help="Directory that keeps published configs, and knows a first start, which needs no warm-up.",
)
@click.option(
    "--users",
    type=click.Path(path_type=Path, dir_okay=False),
    help="File of those who may use it (see `gateway registry user`); left out: whoever reaches it.",
)
@click.option(
    "--cert",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Certificate in PEM: it is reached over TLS, by HTTP and gRPC alike. With --key.",
)
@click.option(
    "--key", type=click.Path(path_type=Path, dir_okay=False), help="Its private key in PEM, without a password."
)
@click.option(
    "--allow-host",
    "names",
    multiple=True,
    metavar="NAME",
    callback=check_names,
    help="A name by which it is called, beside addresses and this machine's own; *.NAME: all below it. May be repeated.",
)
@runs_until_signal
def command(
    listen: str,
    warmup: float,
    data: Path | None,
    users: Path | None,
    cert: Path | None,
    key: Path | None,
    names: tuple[str, ...],
) -> Program:
    """Run the embedded registry alone (Nacos-compatible, HTTP and gRPC)."""
    from gateway.app.running import RegistryProgram
    from gateway.registry.embedded.server import EmbeddedRegistry

    host, colon, port = listen.rpartition(":")
    if not colon or not port.isdigit() or int(port) > 65535:
        raise click.BadParameter(f"{listen!r} is not HOST:PORT", param_hint="--listen")
    host = host.strip("[]")
    if (cert is None) != (key is None):
        raise click.UsageError("--cert and --key belong together")
    tls = None if cert is None or key is None else (str(cert), str(key))
    registry = EmbeddedRegistry(host, int(port), warmup=warmup, data=data, names=names, users=users, tls=tls)
    return RegistryProgram(registry, host, int(port))
