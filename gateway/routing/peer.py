"""Who is at the other end of a client's connection."""

from __future__ import annotations

from typing import Final

PLAIN: Final = "plain"
"""How a client has come: without TLS."""
MTLS: Final = "mtls"
"""By mutual TLS, with an identity that may call."""
STRANGER: Final = "stranger"
"""By mutual TLS, with a certificate of the mesh whose identity may not call."""


class Peer:
    """The client at the other end of one connection. `ip` is as `plain_ip` spells it.

    `forwarded_for` and `forwarded_proto` are field lines that introduce it to upstreams; `forwarded` is both, and the
    beginning of one that wants the host asked for after it. `callee` is the service that is called, known by the address that
    was connected to; empty: each request says which.

    `kind` is one of the above. `identity` is who it has been verified to be, and `client_cert` a field line that tells an
    application so; both may be empty.
    """

    __slots__ = (
        "callee",
        "client_cert",
        "forwarded",
        "forwarded_for",
        "forwarded_proto",
        "identity",
        "ip",
        "is_secure",
        "is_trusted",
        "kind",
    )

    def __init__(self, ip: str, is_trusted: bool = False, scheme: str = "http", callee: str = "") -> None:
        self.ip = ip
        self.callee = callee
        self.is_trusted = is_trusted
        self.kind: str = PLAIN
        self.identity: str = ""
        self.client_cert: bytes = b""
        self.is_secure: bool = scheme == "https"
        self.forwarded_for: bytes = f"X-Forwarded-For: {ip}\r\n".encode("latin-1")
        self.forwarded_proto: bytes = f"X-Forwarded-Proto: {scheme}\r\n".encode("latin-1")
        self.forwarded: bytes = self.forwarded_for + self.forwarded_proto + b"X-Forwarded-Host: "


def callee_at(doors: dict[tuple[str, int], str], address: tuple[str, int] | None) -> str:
    """The service that whoever connects to an address calls; empty: any. A door whose host is empty is at all hosts."""
    if not doors or not address:
        return ""
    return doors.get((address[0], address[1])) or doors.get(("", address[1]), "")
