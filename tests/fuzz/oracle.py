"""h11 as the second opinion. What it refuses and we accept on purpose is listed here, each with its reason."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

import h11

LIMIT = 2**20
"""h11's limit of a head: ours are compared elsewhere."""

DELIBERATE = [
    (
        "white space before a chunk extension is allowed (RFC 9112 §7.1.1); h11 allows it only at the line's end",
        "illegal chunk header",
        re.compile(rb"\n[0-9A-Fa-f]{1,16}[ \t]+;"),
    ),
    (
        "what frames a message is no trailer, and dropped; h11 judges a length or a coding among them as if it framed something",
        (
            "(?:conflicting Content-Length headers|bad Content-Length|multiple Transfer-Encoding headers"
            "|Only Transfer-Encoding: chunked is supported)"
        ),
        re.compile(rb"\n0+(?:[ \t]*;[^\n]*)?\r\n(?:[^\n]+\n)*(?:content-length|transfer-encoding):", re.IGNORECASE),
    ),
]
"""Reason, the beginning of h11's message, and what the message must contain."""


@dataclass
class Reading:
    """One message as h11 reads it."""

    head: h11.Request | h11.Response | None = None
    interims: list[int] = field(default_factory=list)
    body: bytes = b""
    is_complete: bool = False
    rest: bytes = b""
    may_go_on: bool = False
    deliberate: str = ""

    @property
    def framing(self) -> list[tuple[bytes, bytes]]:
        assert self.head is not None
        return [(name, value) for name, value in self.head.headers if name in (b"content-length", b"transfer-encoding")]

    @property
    def names(self) -> list[bytes]:
        assert self.head is not None
        return [name for name, _ in self.head.headers]


def read_request(data: bytes) -> Reading:
    """The request that `data` starts with. Raises h11.RemoteProtocolError."""
    connection = h11.Connection(h11.SERVER, max_incomplete_event_size=LIMIT)
    connection.receive_data(data)
    return _read(connection, data)


def read_answer(data: bytes, method: str, has_upgrade: bool = False, has_ended: bool = True) -> Reading:
    """The answer that `data` starts with, up to the connection's end. Raises h11.RemoteProtocolError."""
    connection = h11.Connection(h11.CLIENT, max_incomplete_event_size=LIMIT)
    fields = [("Host", "a"), *([("Connection", "upgrade"), ("Upgrade", "websocket")] if has_upgrade else [])]
    connection.send(h11.Request(method=method, target="/", headers=fields))
    connection.send(h11.EndOfMessage())
    if data:
        connection.receive_data(data)
    if has_ended:
        connection.receive_data(b"")
    return _read(connection, data)


def _read(connection: h11.Connection, data: bytes) -> Reading:
    reading = Reading()
    body: list[bytes] = []
    while True:
        try:
            event = connection.next_event()
        except h11.RemoteProtocolError as error:
            reading.deliberate = _why(error, data)
            if not reading.deliberate:
                raise
            break
        if isinstance(event, h11.Request | h11.Response):
            reading.head = event
        elif isinstance(event, h11.InformationalResponse):
            reading.interims.append(event.status_code)
        elif isinstance(event, h11.Data):
            body.append(bytes(event.data))
        elif isinstance(event, h11.EndOfMessage):
            reading.is_complete = True
            reading.may_go_on = str(connection.their_state) in ("DONE", "MIGHT_SWITCH_PROTOCOL")
            break
        else:
            break
    reading.body = b"".join(body)
    reading.rest = connection.trailing_data[0]
    return reading


def _why(error: h11.RemoteProtocolError, data: bytes) -> str:
    for reason, message, cause in DELIBERATE:
        if re.match(message, str(error)) and cause.search(data):
            return reason
    return ""
