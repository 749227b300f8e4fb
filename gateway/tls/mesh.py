"""Mutual TLS between gateways and sidecars: this program's own certificate, whom it trusts, and who may be whom."""

from __future__ import annotations

import hashlib
import ssl
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, Literal

from gateway.files import read_file
from gateway.identity import IdentityPattern, first_match, identities, whole_domain
from gateway.instance import Instance
from gateway.routing.peer import MTLS, PLAIN, STRANGER, Peer
from gateway.tls.certificates import Certificate, server_context
from gateway.tls.contexts import CertificateError, UpstreamTLS
from gateway.tls.refusing import RefusingContext

Use = Literal["announced", "required", "never"]
"""When an instance is spoken to in mutual TLS: if its metadata says so, always, or never."""

MOST: Final = 4096
"""Services whose pattern is kept ready: an application may call any name."""


class Mesh:
    """One member's view of the mesh, made from files; new files make a new one.

    `identity` is the pattern of a service's instances, `peers` those of who may call; none: the whole trust domain. `name` is
    who this program is there, empty if it is not of that domain. What is spoken with those who call is their `Reception`'s.

    Raises CertificateError if a file cannot be used.
    """

    def __init__(self, *, cert: str, key: str, ca: str, identity: str, peers: Sequence[str] = ()) -> None:
        self.certificate = Certificate(cert, key)
        self._identity = identity
        self.name = first_match([IdentityPattern(whole_domain(identity))], self.certificate.identities)
        self._peers = [IdentityPattern(text) for text in peers or [whole_domain(identity)]]
        self.server = server_context(RefusingContext)
        # Nobody resumes a session whose certificate is checked no more. (Our own clients never do.)
        self.server.options |= ssl.OP_NO_TICKET
        self.server.num_tickets = 0
        self.client, self._multiplexed = _client_context("http/1.1"), _client_context("h2", "http/1.1")
        for context in (self.server, self.client, self._multiplexed):
            context.verify_mode = ssl.CERT_REQUIRED
            self.certificate.install(context)
            try:
                context.load_verify_locations(ca)
            except (OSError, ssl.SSLError) as error:
                reason = "it is not a PEM file of certificates" if isinstance(error, ssl.SSLError) else error.strerror
                raise CertificateError(ca, f"cannot use the CA file '{ca}': {reason}") from error
        files = b"\n".join(read_file(Path(file)) for file in (cert, key, ca))
        self.fingerprint = (hashlib.sha256(files).hexdigest(), identity)
        self._towards: dict[str, UpstreamTLS] = {}

    def towards(self, service: str) -> UpstreamTLS:
        """How instances of a service are spoken to."""
        tls = self._towards.get(service)
        if tls is None:
            if len(self._towards) >= MOST:
                self._towards.clear()
            expected = IdentityPattern(self._identity, service)
            tls = self._towards[service] = UpstreamTLS(self.client, "", self.fingerprint, expected, self._multiplexed)
        return tls

    def is_of(self, service: str) -> bool:
        """Whether peers that call the service take this program for an instance of it."""
        return bool(first_match((IdentityPattern(self._identity, service),), self.certificate.identities))

    def admitted(self, names: Sequence[str]) -> str:
        """Which of a caller's identities may call, empty if none may."""
        return first_match(self._peers, names)


class Secured:
    """How instances are spoken to: as `services` says of theirs; else, in a mesh, by `use` of their service, or by `default`."""

    def __init__(
        self,
        services: Mapping[str, UpstreamTLS] | None = None,
        mesh: Mesh | None = None,
        use: Mapping[str, Use] | None = None,
        default: Use = "announced",
    ) -> None:
        self.services: Mapping[str, UpstreamTLS] = services or {}
        self._mesh = mesh
        self._use = use or {}
        self._default: Use = default

    def of(self, service: str, instance: Instance) -> UpstreamTLS | None:
        """The TLS for an instance of a service; None: plain text."""
        tls = self.services.get(service)
        if tls is not None or self._mesh is None:
            return tls
        use = self._use.get(service, self._default)
        if use == "required" or (use == "announced" and instance.announces_mtls):
            return self._mesh.towards(service)
        return None

    def without(self, service: str) -> Secured:
        """The same, but for what `services` says of one."""
        services = {name: tls for name, tls in self.services.items() if name != service}
        return Secured(services, self._mesh, self._use, self._default)

    def fingerprint(self, service: str) -> tuple[bytes | str | bool, ...]:
        """Differs if connections to a service's instances are to be made anew."""
        tls = self.services.get(service)
        if tls is not None:
            return tls.fingerprint
        return () if self._mesh is None else (*self._mesh.fingerprint, self._use.get(service, self._default))

    @property
    def is_used(self) -> bool:
        """Whether there is anything that is not plain text."""
        return bool(self.services) or self._mesh is not None


class Reception:
    """What a listener needs to take callers of the mesh. `replace` changes it for connections to come.

    `tells`: the application is told who calls, in X-Forwarded-Client-Cert. `alpn` are the protocols that the listener speaks, the
    best first: as long as it is there, whatever the settings say by now.
    """

    def __init__(self, mesh: Mesh, tells: bool, alpn: Sequence[str]) -> None:
        self._alpn = list(alpn)
        self.replace(mesh, tells)

    def replace(self, mesh: Mesh, tells: bool) -> None:
        """New connections meet these; those that are open keep theirs."""
        mesh.server.set_alpn_protocols(self._alpn)
        self._mesh = mesh
        self._tells = tells

    @property
    def context(self) -> ssl.SSLContext:
        """For the next handshake."""
        return self._mesh.server

    def introduce(self, peer: Peer, tls: ssl.SSLObject | None) -> None:
        """Notes on a caller how it has come, and who it is; `tls` is its connection's, None without TLS."""
        if tls is None:
            peer.kind = PLAIN
            return
        names = identities(tls.getpeercert())
        peer.identity = self._mesh.admitted(names)
        peer.kind = MTLS if peer.identity else STRANGER
        if self._tells and peer.identity:
            peer.client_cert = _client_cert(self._mesh.name, peer.identity, tls.getpeercert(True) or b"")


def _client_context(*protocols: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False  # who is there is checked by `expected`
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(list(protocols))
    return context


def _client_cert(own: str, caller: str, certificate: bytes) -> bytes:
    """The X-Forwarded-Client-Cert line, in the form that Envoy defined: who was called, by which certificate, of whom."""
    kind = "URI" if caller.startswith("spiffe://") else "DNS"
    digest = hashlib.sha256(certificate).hexdigest()
    return f"X-Forwarded-Client-Cert: By={own};Hash={digest};{kind}={caller}\r\n".encode("ascii")
