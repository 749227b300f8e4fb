"""`gateway registry serve`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from gateway.cli.running import runs_until_signal

if TYPE_CHECKING:
    from gateway.app.running import Program


def check_names(_: click.Context, __: click.Parameter, names: tuple[str, ...]) -> tuple[str, ...]:
    """The names as they are. Raises BadParameter if one is not a host name."""
    from gateway.settings.fields import check_allowed_host

    try:
        return tuple(map(check_allowed_host, names))
    except ValueError as error:
        raise click.BadParameter(f"{error}") from error


@click.command("serve", short_help="Run the embedded registry on its own (Nacos-compatible, HTTP and gRPC).")
@click.option(
    "--listen", default="127.0.0.1:8848", show_default=True, metavar="HOST:PORT", help="Address to listen on."
)
@click.option(
    "--warmup",
    default=15.0,
    show_default=True,
    metavar="SECONDS",
    help="How long instance lists return 503 after a start, while instances register again.",
)
@click.option(
    "--data",
    type=click.Path(path_type=Path, file_okay=False),
    help="Directory that keeps published configs. It also shows a first start, which needs no warm-up.",
)
@click.option(
    "--users",
    type=click.Path(path_type=Path, dir_okay=False),
    help="File of the users (see `gateway registry user`). Default: anyone who can reach it can use it.",
)
@click.option(
    "--cert",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Certificate in PEM: HTTP and gRPC use TLS. With --key.",
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
    help="A further host name to accept; *.NAME accepts all names below it; can be repeated.",
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
    """Run the embedded registry on its own (Nacos-compatible, HTTP and gRPC)."""
    from gateway.app.registry import RegistryProgram
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
