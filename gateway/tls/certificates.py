"""The listener's certificates: read, chosen by the name that a client gives (SNI), and replaced while running."""

from __future__ import annotations

import ssl
from collections.abc import Sequence
from datetime import datetime
from fnmatch import fnmatchcase
from pathlib import Path

from gateway.files import read_file
from gateway.identity import identities
from gateway.tls.contexts import CertificateError, check_readable, show_certificate


class Certificate:
    """A certificate chain with its key. `names` are the DNS names it is for, `expires` is in UTC.

    `identities` are who its holder is in a mesh.

    Raises CertificateError if the two cannot be read or do not belong together.
    """

    def __init__(self, cert: str, key: str) -> None:
        from cryptography import x509  # only who serves TLS pays for it

        self.file = cert
        self._key = key
        check_readable(cert, key)
        try:
            leaf = x509.load_pem_x509_certificates(read_file(Path(cert)))[0]
        except ValueError as error:
            raise CertificateError(cert, f"'{cert}' is not a certificate in PEM") from error
        self.context = server_context()
        self.install(self.context)
        self.expires: datetime = leaf.not_valid_after_utc
        try:
            names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        except x509.ExtensionNotFound:
            names = x509.SubjectAlternativeName([])
        dns = names.get_values_for_type(x509.DNSName)
        self.names: tuple[str, ...] = tuple(name.lower() for name in dns)
        uris = [("URI", uri) for uri in names.get_values_for_type(x509.UniformResourceIdentifier)]
        self.identities = identities({"subjectAltName": (*uris, *(("DNS", name) for name in dns))})

    def install(self, context: ssl.SSLContext) -> None:
        """Has a context show it. Raises CertificateError if the two do not belong together."""
        show_certificate(context, self.file, self._key)

    def is_for(self, name: str) -> bool:
        """Whether it is for a DNS name; `*` stands for one label (RFC 9525 §6.3)."""
        return any(
            fnmatchcase(name, pattern) and name.count(".") == pattern.count(".") if "*" in pattern else name == pattern
            for pattern in self.names
        )


class ListenerTLS:
    """What a listener needs: `context` stays the same while `replace` changes the certificates behind it.

    `alpn` are the protocols that are spoken (RFC 7301), the best first.
    """

    def __init__(
        self, certificates: Sequence[Certificate], minimum: str = "1.2", alpn: Sequence[str] = ("http/1.1",)
    ) -> None:
        self._alpn = list(alpn)
        self._certificates: tuple[Certificate, ...] = ()
        self.replace(certificates)
        self.context = server_context()
        self.context.minimum_version = ssl.TLSVersion.TLSv1_3 if minimum == "1.3" else ssl.TLSVersion.TLSv1_2
        self.context.sni_callback = self._choose

    @property
    def certificates(self) -> tuple[Certificate, ...]:
        """Those in use."""
        return self._certificates

    def replace(self, certificates: Sequence[Certificate]) -> None:
        """New handshakes use these; connections that are open keep theirs."""
        for certificate in certificates:
            certificate.context.set_alpn_protocols(self._alpn)
        self._certificates = tuple(certificates)

    def _choose(self, connection: ssl.SSLObject | ssl.SSLSocket, name: str | None, _: ssl.SSLContext) -> None:
        """The certificate for a name, the first one if none is, or the client gave no name."""
        certificates = self._certificates
        chosen = certificates[0]
        if name is not None:
            wanted = name.lower().rstrip(".")
            for certificate in certificates:
                if certificate.is_for(wanted):
                    chosen = certificate
                    break
        connection.context = chosen.context


def server_context(kind: type[ssl.SSLContext] = ssl.SSLContext) -> ssl.SSLContext:
    """A listener's context, without a certificate, for HTTP/1.1."""
    context = kind(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    # One request after the other on a connection: renegotiation and compression only help attackers.
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION | ssl.OP_CIPHER_SERVER_PREFERENCE
    return context
