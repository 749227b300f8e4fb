"""Which addresses this process has on the network, and what it says of itself there."""

from __future__ import annotations

import socket
from ipaddress import ip_address
from typing import TYPE_CHECKING

from gateway import hop
from gateway.errors import GatewayError
from gateway.protocols import H2C

if TYPE_CHECKING:
    from gateway.settings.sidecar import SidecarSettings


def find_address(listen_host: str) -> str:
    """The address to register for a listener: its own, or the one this host uses to reach others.

    Raises GatewayError if none can be found.
    """
    try:
        if not ip_address(listen_host).is_unspecified:
            return listen_host
    except ValueError:
        return listen_host  # a name; peers resolve it as we did
    probe = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        # Connecting a datagram socket sends nothing; it only asks the routing table.
        probe.connect(("192.0.2.1", 9))
        host: str = probe.getsockname()[0]
    except OSError as error:
        raise GatewayError(f"cannot find this host's address; set `advertise`: {error}") from error
    finally:
        probe.close()
    return host


def own_addresses(listen_host: str, port: int) -> set[str]:
    """Every `host:port` at which a listener is likely to be known."""
    hosts = {listen_host, "localhost"}
    try:
        if ip_address(listen_host).is_unspecified:
            hosts |= {"127.0.0.1", "[::1]", find_address(listen_host)}
    except (ValueError, GatewayError):
        pass  # a name, or no way out of this machine
    return {f"{host}:{port}" for host in hosts}


def own_metadata(settings: SidecarSettings) -> dict[str, str]:
    """What a sidecar registers of itself: what it calls its service, what it speaks, and where others may ask it."""
    found = {hop.SIDECAR_KEY: settings.service}
    if settings.http2.enabled:
        found[hop.PROTOCOL_KEY] = H2C
    if not settings.admin.is_loopback and settings.admin.port:
        found[hop.ADMIN_KEY] = str(settings.admin.port)
    if settings.mesh is not None:
        found[hop.MTLS_KEY] = "true"
    return found
