"""TLS to the servers of settings: registries, and those that keep rules."""

from __future__ import annotations

from gateway.settings.servers import ServerSettings
from gateway.tls.contexts import UpstreamTLS


def server_tls(server: ServerSettings, alpn: str = "http/1.1") -> UpstreamTLS | None:
    """How a server is reached, None in plain text. `alpn` is the protocol that is spoken. Raises CertificateError."""
    if not server.is_secured:
        return None
    name = server.server_name or ""
    return UpstreamTLS.load(server.ca, name, True, cert=server.cert, key=server.key, alpn=alpn)


def tls_nonsense(server: ServerSettings) -> list[tuple[str, str]]:
    """Settings of TLS that do nothing: each by its name, and why."""
    if server.is_secured:
        return []
    given = [name for name in ("ca", "cert", "server_name") if getattr(server, name) is not None]
    return [(name, "has no effect with `scheme: http`: only `scheme: https` uses TLS") for name in given]
