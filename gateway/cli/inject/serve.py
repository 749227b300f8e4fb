"""`gateway inject serve`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from gateway.cli.inject import IMAGE
from gateway.cli.running import runs_until_signal

if TYPE_CHECKING:
    from gateway.app.running import Program


@click.command("serve", short_help="Run the webhook that adds sidecars to pods as they are created.")
@click.option(
    "--listen", default="0.0.0.0:8443", show_default=True, metavar="HOST:PORT", help="Address to listen on, over TLS."
)
@click.option(
    "--cert", type=click.Path(path_type=Path), required=True, metavar="FILE", help="Certificate in PEM; followed."
)
@click.option("--key", type=click.Path(path_type=Path), required=True, metavar="FILE", help="Its private key in PEM.")
@click.option("--image", default=IMAGE, show_default=True, metavar="IMAGE", help="Image of the sidecar.")
@click.option(
    "--plain",
    is_flag=True,
    help="A container like the others, for clusters before 1.29, which have no native sidecars.",
)
@runs_until_signal
def command(listen: str, cert: Path, key: Path, image: str, plain: bool) -> Program:
    """Run the webhook that adds sidecars to pods as they are created.

    The API server calls it at /inject, over TLS. A certificate that is replaced in its file is used within seconds.
    """
    from gateway.app.injection import InjectionProgram
    from gateway.injection.pod import Options

    host, colon, port = listen.rpartition(":")
    if not colon or not port.isdigit() or int(port) > 65535:
        raise click.BadParameter(f"{listen!r} is not HOST:PORT", param_hint="--listen")
    return InjectionProgram(host.strip("[]"), int(port), cert, key, Options(image, not plain))
