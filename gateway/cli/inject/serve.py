"""`gateway inject serve`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from gateway.cli.inject import IMAGE
from gateway.cli.running import runs_until_signal

if TYPE_CHECKING:
    from gateway.app.running import Program

OWN = "gray-gateway-injection"


@click.command("serve", short_help="Run the webhook that adds sidecars to pods as they are created.")
@click.option(
    "--listen", default="0.0.0.0:8443", show_default=True, metavar="HOST:PORT", help="Address to listen on, over TLS."
)
@click.option(
    "--cert",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Certificate in PEM; followed. Left out: it makes certificates itself.",
)
@click.option("--key", type=click.Path(path_type=Path), metavar="FILE", help="Its private key in PEM.")
@click.option(
    "--secret", default=OWN, show_default=True, metavar="NAME", help="Secret that keeps the certificates that it makes."
)
@click.option(
    "--webhook",
    default=OWN,
    show_default=True,
    metavar="NAME",
    help="MutatingWebhookConfiguration whose `caBundle` it keeps for these.",
)
@click.option(
    "--kubeconfig", metavar="FILE", help="How to reach the API server for that. Left out: by the account of this pod."
)
@click.option("--image", default=IMAGE, show_default=True, metavar="IMAGE", help="Image of the sidecar.")
@click.option(
    "--plain",
    is_flag=True,
    help="A container like the others, for clusters before 1.29, which have no native sidecars.",
)
@runs_until_signal
def command(
    listen: str,
    cert: Path | None,
    key: Path | None,
    secret: str,
    webhook: str,
    kubeconfig: str | None,
    image: str,
    plain: bool,
) -> Program:
    """Run the webhook that adds sidecars to pods as they are created.

    The API server calls it at /inject, over TLS. A certificate that is replaced in its file is used within seconds. Without
    --cert and --key, it makes certificates itself and replaces them in time.
    """
    from gateway.app.injection import InjectionProgram
    from gateway.injection.certificates import Certificates, FileCertificates, OwnCertificates
    from gateway.injection.pod import Options
    from gateway.kubernetes.access import open_access
    from gateway.kubernetes.client import ApiClient

    if (cert is None) != (key is None):
        raise click.UsageError("--cert and --key belong together")
    host, colon, port = listen.rpartition(":")
    if not colon or not port.isdigit() or int(port) > 65535:
        raise click.BadParameter(f"{listen!r} is not HOST:PORT", param_hint="--listen")
    certificates: Certificates
    if cert is not None and key is not None:
        certificates = FileCertificates(cert, key)
    else:
        certificates = OwnCertificates(ApiClient(open_access(kubeconfig)), secret, webhook)
    return InjectionProgram(host.strip("[]"), int(port), certificates, Options(image, not plain))
