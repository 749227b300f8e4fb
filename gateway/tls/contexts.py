"""TLS to upstreams: what is trusted, and which name is verified."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from pathlib import Path

from gateway.errors import ConfigError, Problem
from gateway.files import read_file


class CertificateError(ConfigError):
    """A certificate, key or CA file cannot be used."""

    def __init__(self, file: str, message: str) -> None:
        self.message = message
        super().__init__([Problem(file, 0, 0, message)])


@dataclass(frozen=True, slots=True)
class UpstreamTLS:
    """How one service's instances are spoken to: `server_name` is sent (SNI) and verified; empty: the host is."""

    context: ssl.SSLContext
    server_name: str
    fingerprint: tuple[bytes, str, bool]
    """Equal if nothing that matters has changed."""
    multiplexed: ssl.SSLContext | None = None
    """The same as `context`, which is for HTTP/1.1, and offers HTTP/2 before that (ALPN)."""

    @staticmethod
    def load(ca: str | None, server_name: str, verify: bool, is_multiplexed: bool = False) -> UpstreamTLS:
        """Trusts the CA file, or the system's CAs if there is none. Raises CertificateError."""
        try:
            content = b"" if ca is None else read_file(Path(ca))
            contexts = [_context(ca, verify, ["http/1.1"])]
            if is_multiplexed:
                contexts.append(_context(ca, verify, ["h2", "http/1.1"]))
        except (OSError, ssl.SSLError) as error:
            reason = "it is not a PEM file of certificates" if isinstance(error, ssl.SSLError) else error.strerror
            raise CertificateError(str(ca), f"cannot use the CA file '{ca}': {reason}") from error
        multiplexed = contexts[1] if is_multiplexed else None
        return UpstreamTLS(contexts[0], server_name, (content, server_name, verify), multiplexed)


def _context(ca: str | None, verify: bool, protocols: list[str]) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=ca)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(protocols)
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
