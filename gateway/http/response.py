"""One response's head, judged as strictly as a request's: what an upstream says is not trusted to be HTTP either."""

from __future__ import annotations

import re
from typing import Final

from gateway.errors import ProtocolError
from gateway.http.grammar import RESPONSE_HEAD, field_pattern

CHUNKED: Final = -1
UNTIL_CLOSE: Final = -2

# Group 1: a sound Content-Length, 2: Transfer-Encoding, 3: Connection, 4: Upgrade, 5: an unsound Content-Length; none of
# them: another hop-by-hop field.
_FIELDS: Final = re.compile(
    rb"\r\n(?:content-length:[ \t]*+([0-9]{1,18}+)(?=[ \t]*+\r)|transfer-encoding:[ \t]*+([^\r]*+)|connection:[ \t]*+([^\r]*+)"
    rb"|upgrade:[ \t]*+([^\r]*+)|(content-length:)|(?:keep-alive|proxy-connection|proxy-authenticate|te|trailer):[^\r]*+)",
    re.IGNORECASE,
)
_LENGTH: Final = 1
_CODING: Final = 2
_CONNECTION: Final = 3
_UPGRADE: Final = 4
_UNSOUND: Final = 5
_NOT_REMOVABLE: Final = frozenset({b"content-length", b"transfer-encoding", b"date", b"set-cookie", b"content-type"})


class Response:
    """A judged response head. `body` is a length in bytes, CHUNKED or UNTIL_CLOSE.

    `cuts` are the spans (start, end, …) of the head that must not be passed on; the first line is `[:line_end]`, the
    body starts at `end`. `minor` is the HTTP/1.x version the upstream spoke.
    """

    __slots__ = ("body", "cuts", "end", "keep_alive", "line_end", "minor", "status", "upgrade")

    def __init__(self, status: int, minor: int, line_end: int, end: int) -> None:
        self.status = status
        self.minor = minor
        self.line_end = line_end
        self.end = end
        self.body: int = UNTIL_CLOSE
        self.keep_alive: bool = minor == 1
        self.upgrade: bytes = b""
        self.cuts: list[int] = []

    def head(self, data: bytes, added: bytes) -> bytes:
        """The head to pass on: as HTTP/1.1, without what was cut, with the field lines `added` (each led by CRLF)."""
        fields = without(data, self.line_end, self.end - 4, self.cuts)
        return b"HTTP/1.1" + data[8 : self.line_end] + fields + added + b"\r\n\r\n"


def read_response(data: bytes, method: str) -> Response | None:
    """Judges the response head that `data` starts with, for a request with `method`.

    Returns None while the head is not complete. Raises ProtocolError (502).
    """
    match = RESPONSE_HEAD.match(data)
    if match is None:
        if b"\r\n\r\n" in data or not b"HTTP/1.".startswith(data[:7]):
            raise ProtocolError(502, "bad_answer", "the upstream's response head is malformed")
        return None
    end = match.end()
    status = int(data[9:12])
    if status > 599:
        raise ProtocolError(502, "bad_answer", "the upstream's status is not between 100 and 599")
    response = Response(status, 1 if data[7:8] == b"1" else 0, data.find(b"\r\n"), end)
    length = -1
    chunked = False
    connection: bytes = b""
    field = _FIELDS.search(data, response.line_end, end)
    while field is not None:
        kind = field.lastindex
        after = field.end()
        if kind == _LENGTH:
            if length >= 0:
                raise ProtocolError(502, "bad_answer", "the upstream gave its Content-Length twice")
            length = int(field[1])
        elif kind == _CODING:
            if chunked or field[2].strip(b" \t").lower() != b"chunked":
                raise ProtocolError(502, "bad_answer", "the upstream used a transfer coding other than chunked")
            chunked = True
        elif kind == _UNSOUND:
            raise ProtocolError(502, "bad_answer", "the upstream's Content-Length is not a number")
        else:
            if kind == _CONNECTION:
                connection = field[3] if not connection else connection + b"," + field[3]
            elif kind == _UPGRADE:
                response.upgrade = field[4].strip(b" \t")
            response.cuts.append(field.start())
            response.cuts.append(after)
        field = _FIELDS.search(data, after, end)
    if connection and (connection != b"keep-alive" or response.minor == 0):
        _read_connection(response, data, connection)
    if chunked and (length >= 0 or response.minor == 0):
        raise ProtocolError(502, "bad_answer", "the upstream gave the body's length twice, or HTTP/1.0 chunks")
    if status < 200 or status == 204:
        response.body = 0
        if chunked or length >= 0:
            # RFC 9112 §6.1 and RFC 9110 §8.6: neither may be said here, and a client might wait for a body.
            for field in field_pattern(rb"(?:transfer-encoding|content-length)").finditer(data, response.line_end, end):
                response.cuts.append(field.start())
                response.cuts.append(field.end())
    elif status == 304 or method == "HEAD":
        response.body = 0
    elif chunked:
        response.body = CHUNKED
    elif length >= 0:
        response.body = length
    else:
        response.keep_alive = False
    return response


def _read_connection(response: Response, data: bytes, connection: bytes) -> None:
    """Takes what all Connection fields say: whether the connection stays, and which fields were for us only."""
    options = [part.strip(b" \t").lower() for part in connection.split(b",")]
    response.keep_alive = b"close" not in options and (response.minor == 1 or b"keep-alive" in options)
    for option in options:
        if option and option not in _NOT_REMOVABLE:
            for field in field_pattern(re.escape(option)).finditer(data, response.line_end, response.end):
                response.cuts.append(field.start())
                response.cuts.append(field.end())


def without(head: bytes, start: int, end: int, cuts: list[int]) -> bytes:
    """`head[start:end]` less the spans in `cuts` (start, end, …), which may be unordered and overlap."""
    if not cuts:
        return head[start:end]
    if len(cuts) == 2:
        return head[start : cuts[0]] + head[cuts[1] : end]
    pairs = sorted([(cuts[i], cuts[i + 1]) for i in range(0, len(cuts), 2)])
    parts: list[bytes] = []
    position = start
    for first, last in pairs:
        if first > position:
            parts.append(head[position:first])
        position = max(position, last)
    parts.append(head[position:end])
    return b"".join(parts)
