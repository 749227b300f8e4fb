"""TLS to upstreams: what is trusted, and which name is verified."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gateway.errors import ConfigError, Problem
from gateway.files import read_file
from gateway.identity import IdentityPattern, first_match, identities


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
    fingerprint: tuple[bytes | str | bool, ...]
    """Equal if nothing that matters has changed."""
    expected: IdentityPattern | None = None
    """Who has to be there, if that is not verified by the host's name."""

    def verify_peer(self, certificate: Mapping[str, Any] | None) -> None:
        """Checks who has responded, as `getpeercert` describes it, before anything is sent. Raises SSLCertVerificationError."""
        if self.expected is None:
            return
        names = identities(certificate)
        if not first_match((self.expected,), names):
            found = ", ".join(names) or "nobody that has a name"
            raise ssl.SSLCertVerificationError(f"the certificate is of {found}, not of {self.expected.text}")

    @staticmethod
    def load(ca: str | None, server_name: str, verify: bool) -> UpstreamTLS:
        """Trusts the CA file, or the system's CAs if there is none. Raises CertificateError."""
        content = b""
        try:
            if ca is not None:
                content = read_file(Path(ca))
            context = ssl.create_default_context(cafile=ca)
        except (OSError, ssl.SSLError) as error:
            reason = "it is not a PEM file of certificates" if isinstance(error, ssl.SSLError) else error.strerror
            raise CertificateError(str(ca), f"cannot use the CA file '{ca}': {reason}") from error
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.set_alpn_protocols(["http/1.1"])
        if not verify:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        return UpstreamTLS(context, server_name, (content, server_name, verify))
