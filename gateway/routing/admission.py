"""Whom a sidecar's inbound listener serves, by what has been verified of them."""

from __future__ import annotations

from typing import Final

from gateway.http.request import Request
from gateway.routing.peer import MTLS, PLAIN, STRANGER, Peer

CLIENT_CERT: Final = frozenset({b"x-forwarded-client-cert"})


class Admission:
    """`requires`: only verified callers are served. `tells`: the application is told who calls, by nobody else than this program.

    `counts` has the requests by how their callers came: the kinds of `peer`.
    """

    __slots__ = ("counts", "requires", "tells")

    def __init__(self, counts: dict[str, int], requires: bool, tells: bool) -> None:
        self.counts = counts
        self.requires = requires
        self.tells = tells
        for kind in (MTLS, PLAIN, STRANGER):
            counts.setdefault(kind, 0)

    def refuses(self, peer: Peer) -> str:
        """Why a request of this caller is not served, empty if it is."""
        kind = peer.kind
        self.counts[kind] += 1
        if kind == STRANGER:
            return "the certificate's identity is none that `mesh.peers` admits here"
        if kind == PLAIN and self.requires:
            return "this instance serves only callers that it knows by mutual TLS"
        return ""

    def introduce(self, request: Request, peer: Peer, lines: list[bytes]) -> None:
        """Has a request say who calls, if the application is to be told; what others say of it passes from the verified alone."""
        if request.forwarded is not None and (self.tells or peer.kind != MTLS):
            request.cut_named(CLIENT_CERT)
        if peer.client_cert:
            lines.append(peer.client_cert)
