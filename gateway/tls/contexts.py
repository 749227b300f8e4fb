"""TLS to upstreams and registries: what is trusted, which name is verified, and which certificate is shown."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from gateway.errors import ConfigError, Problem
from gateway.files import read_file
from gateway.identity import IdentityPattern, first_match, identities


class CertificateError(ConfigError):
    """A certificate, key or CA file cannot be used."""

    def __init__(self, file: str, message: str) -> None:
        self.file = file
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
    multiplexed: ssl.SSLContext | None = None
    """The same as `context`, which is for HTTP/1.1, and offers HTTP/2 before that (ALPN)."""

    def verify_peer(self, certificate: Mapping[str, Any] | None) -> None:
        """Checks who has responded, as `getpeercert` describes it, before anything is sent. Raises SSLCertVerificationError."""
        if self.expected is None:
            return
        names = identities(certificate)
        if not first_match((self.expected,), names):
            found = ", ".join(names) or "nobody that has a name"
            raise ssl.SSLCertVerificationError(f"the certificate is of {found}, not of {self.expected.text}")

    @staticmethod
    def load(
        ca: str | None,
        server_name: str,
        verify: bool,
        *,
        cert: str | None = None,
        key: str | None = None,
        alpn: str = "http/1.1",
        is_multiplexed: bool = False,
    ) -> UpstreamTLS:
        """Trusts the CA file, or the system's CAs if there is none; shows a certificate if one is given.

        `alpn` is the protocol that is spoken (RFC 7301); with `is_multiplexed` HTTP/2 may be instead. Raises CertificateError.
        """
        content = b""
        try:
            if ca is not None:
                content = read_file(Path(ca))
            context = ssl.create_default_context(cafile=ca)
            multiplexed = ssl.create_default_context(cafile=ca) if is_multiplexed else None
        except (OSError, ssl.SSLError) as error:
            reason = "it is not a PEM file of certificates" if isinstance(error, ssl.SSLError) else error.strerror
            raise CertificateError(str(ca), f"cannot use the CA file '{ca}': {reason}") from error
        context.set_alpn_protocols([alpn])
        if multiplexed is not None:
            multiplexed.set_alpn_protocols(["h2", alpn])
        for made in (context, multiplexed):
            if made is None:
                continue
            made.minimum_version = ssl.TLSVersion.TLSv1_2
            if cert is not None and key is not None:
                show_certificate(made, cert, key)
            if not verify:
                made.check_hostname = False
                made.verify_mode = ssl.CERT_NONE
        return UpstreamTLS(context, server_name, (content, server_name, verify), multiplexed=multiplexed)


class Spoken(NamedTuple):
    """How an instance is spoken to: in which TLS (None: plain text), and whether in HTTP/2. By default as most are.

    `is_certain`: in nothing else; where it is not, an instance that turns out not to speak HTTP/2 is spoken to in HTTP/1.1.
    """

    tls: UpstreamTLS | None = None
    has_http2: bool = False
    is_certain: bool = True


def check_readable(*files: str) -> None:
    """Raises CertificateError for a file that cannot be read."""
    for file in files:
        try:
            read_file(Path(file))
        except OSError as error:
            raise CertificateError(file, f"cannot read '{file}': {error.strerror or error}") from error


def show_certificate(context: ssl.SSLContext, cert: str, key: str) -> None:
    """Has a context show a certificate. Raises CertificateError if it cannot be read, or the key is not its own."""
    check_readable(cert, key)
    try:
        context.load_cert_chain(cert, key, password=_no_password)
    except (ssl.SSLError, ValueError) as error:
        # OpenSSL's error is the same for either file.
        if not _has_certificates(cert):
            raise CertificateError(cert, f"'{cert}' is not a certificate in PEM") from error
        message = f"'{key}' is not the key of '{cert}', or not a key in PEM without a password"
        raise CertificateError(key, message) from error


def _has_certificates(file: str) -> bool:
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(file)
    except ssl.SSLError:
        return False
    return True


def _no_password() -> str:
    """Instead of a prompt on the terminal, which is what OpenSSL does by itself."""
    return ""
