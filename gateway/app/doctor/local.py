"""Checks of this machine: the configuration, ports, certificates, file descriptors."""

from __future__ import annotations

import resource
import socket
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from gateway.app.doctor.finding import FAILED, OK, WARNING, Finding
from gateway.config.certificates import listener_certificates, mesh_of
from gateway.config.load import Loaded, load_role
from gateway.errors import ConfigError
from gateway.proxy.descriptors import RESERVE
from gateway.ruletools.check import kind_of
from gateway.settings import Address, ServingSettings
from gateway.settings.gateway import GatewaySettings
from gateway.settings.sidecar import SidecarSettings
from gateway.tls.contexts import CertificateError
from gateway.yaml.reading import load

SOON: Final = timedelta(days=14)
"""How long before it expires a certificate is warned of."""


def check_configuration(path: Path) -> tuple[Loaded[ServingSettings] | None, list[Finding]]:
    """The configuration with its rules, None if it has problems, each of which is a finding."""
    try:
        model = SidecarSettings if kind_of(load(path)) is SidecarSettings else GatewaySettings
        loaded: Loaded[ServingSettings] = load_role(model, path)
    except ConfigError as error:
        hint = "correct the file; `gateway check` shows the same"
        return None, [Finding("configuration", str(path), FAILED, str(problem), hint) for problem in error.problems]
    lanes = sum(len(group.lanes) for group in loaded.rules.groups)
    return loaded, [Finding("configuration", str(path), OK, f"valid; lanes: {lanes}")]


def check_ports(settings: ServingSettings, running: frozenset[str]) -> Iterator[Finding]:
    """Whether each port can be listened on, or is in use by the program whose settings these are (`running`)."""
    for place, address in settings.listeners().items():
        subject = f"{'.'.join(map(str, place))} {address}"
        trouble = "" if address.port == 0 else _trouble_of(address)
        if not trouble:
            yield Finding("ports", subject, OK, "free")
        elif str(address) in running:
            yield Finding("ports", subject, OK, "in use by the running program")
        else:
            hint = f"see who has it (`ss -ltnp 'sport = :{address.port}'`), or choose another address"
            yield Finding("ports", subject, FAILED, f"cannot be listened on: {trouble}", hint)


def _trouble_of(address: Address) -> str:
    try:
        found = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        with socket.socket(found[0][0], socket.SOCK_STREAM) as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind(found[0][4])
    except OSError as error:
        return error.strerror or str(error)
    return ""


def check_certificates(settings: ServingSettings, now: datetime) -> Iterator[Finding]:
    """Whether the certificates of the listener and of the mesh are valid, and for how long."""
    hint = "renew it; a running gateway takes the new files on SIGHUP, or by itself"
    try:
        certificates = [] if settings.listener_tls is None else listener_certificates(settings.listener_tls)
        mesh = mesh_of(settings)
        certificates += [] if mesh is None else [mesh.certificate]
    except CertificateError as error:
        yield Finding(
            "certificates",
            error.problems[0].file,
            FAILED,
            error.message,
            "correct the file, or its path in the configuration",
        )
        return
    for certificate in certificates:
        left = certificate.expires - now
        until = f"{certificate.expires:%Y-%m-%d %H:%M} UTC"
        if left <= timedelta():
            yield Finding("certificates", certificate.file, FAILED, f"expired on {until}", hint)
        elif left < SOON:
            yield Finding("certificates", certificate.file, WARNING, f"expires on {until}, in {left.days} days", hint)
        else:
            yield Finding("certificates", certificate.file, OK, f"valid until {until}")


def check_descriptors(settings: ServingSettings) -> Finding:
    """Whether a process may open as many files as there may be connections."""
    limits = settings.limits
    needed = limits.connections + limits.in_flight + RESERVE
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if hard == resource.RLIM_INFINITY or hard >= needed:
        return Finding("file limits", "this shell", OK, f"{needed} file descriptors are needed at most")
    message = f"{needed} file descriptors may be needed, and a process may have {hard}"
    hint = "raise the limit (`ulimit -Hn`, or `LimitNOFILE=` of the systemd unit), or lower limits.connections"
    return Finding("file limits", "this shell", WARNING, message, hint)


def now() -> datetime:
    """The time, in UTC."""
    return datetime.now(UTC)
