"""One response's head, judged as strictly as a request's: what an upstream says is not trusted to be HTTP either."""

from __future__ import annotations

import sys
from collections.abc import Container
from typing import Final

from gateway import hop
from gateway.errors import ProtocolError
from gateway.failures import BAD_RESPONSE
from gateway.grpc.status import NO_STATUS, read_status
from gateway.http.grammar import STATUS_LINE, check_partial_response, malformed_response
from gateway.http.lines import MALFORMED, MAX_LENGTH, MAX_OPTIONS, FieldLines, read_options, spans_named, values_named
from gateway.http.trailers import Hidden, may_trail

CHUNKED: Final = -1
UNTIL_CLOSE: Final = -2

MAX_INTERIM: Final = 64
"""Interim responses (1xx) to one request: each costs a look at a head, and maybe a write."""

# What a field means to the proxy. DROP: hop-by-hop, and nothing to us.
CONNECTION: Final = 1
CONTENT_LENGTH: Final = 2
TRANSFER_ENCODING: Final = 3
UPGRADE: Final = 4
DROP: Final = 5
HOP: Final = 6
GRPC_STATUS: Final = 8
PLACE: Final = 7
"""It names a place at the service: a path, a URL or a cookie's path."""

_MEANING: Final[dict[bytes, int]] = {
    b"connection": CONNECTION,
    b"content-length": CONTENT_LENGTH,
    b"transfer-encoding": TRANSFER_ENCODING,
    b"upgrade": UPGRADE,
    b"keep-alive": DROP,
    b"proxy-connection": DROP,
    b"proxy-authenticate": DROP,
    b"te": DROP,
    hop.FIELD: HOP,
    b"grpc-status": GRPC_STATUS,
    # The program's own: what an instance says under this name is not why this program chose it.
    b"x-gray-explain": DROP,
    b"x-gray-fault": DROP,
    b"location": PLACE,
    b"content-location": PLACE,
    b"refresh": PLACE,
    b"set-cookie": PLACE,
}
_MAX_STATUS_LINES: Final = 256
MAX_HEADS: Final = 1024
MAX_HEAD: Final = 512
MAX_TRAILERS: Final = 64
"""Heads, and trailers, that are remembered whole, and the bytes of the longest ones. Reading is ten times as dear."""
_FRAMING: Final = frozenset({b"transfer-encoding", b"content-length"})
_STANDING: Final = frozenset(
    {b"close", b"keep-alive", b"content-length", b"transfer-encoding", b"date", b"set-cookie", b"content-type"}
)
"""Connection options that name no field to be removed: those that have a meaning, and fields that nobody may remove."""


class Response:
    """A judged response head. `body` is a length in bytes, CHUNKED or UNTIL_CLOSE.

    `cuts` are the spans (start, end, …) of the head that must not be passed on; the first line is `[:line_end]`, the
    body starts at `end`. `minor` is the HTTP/1.x version the upstream spoke. `told` is what a sidecar says to us alone.
    `has_places`: a field of it names a place at the service. `grpc_status` is the code of a call that ends with its head, else
    NO_STATUS. `hidden` are names of fields that are not passed on, be it as trailers.
    """

    __slots__ = (
        "body",
        "cuts",
        "end",
        "grpc_status",
        "has_places",
        "hidden",
        "keep_alive",
        "line_end",
        "minor",
        "status",
        "told",
        "upgrade",
    )

    def __init__(self, status: int, minor: int, line_end: int, end: int) -> None:
        self.status = status
        self.minor = minor
        self.line_end = line_end
        self.end = end
        self.body: int = UNTIL_CLOSE
        self.keep_alive: bool = minor == 1
        self.upgrade: bytes = b""
        self.told: bytes = b""
        self.has_places: bool = False
        self.grpc_status: int = NO_STATUS
        self.cuts: list[int] = []
        self.hidden: list[Container[bytes]] | None = None

    def cut(self, start: int, end: int) -> None:
        """Keeps a line of the head, with the line end in front of it, from being passed on."""
        self.cuts.append(start)
        self.cuts.append(end)

    def cut_named(self, lines: list[bytes], names: Container[bytes]) -> None:
        """Keeps the fields of some (lower-case) names from being passed on. `lines` are all field lines."""
        self.cuts += spans_named(lines, self.line_end, names)
        self.hidden = [names] if self.hidden is None else [*self.hidden, names]

    def head(self, data: bytes, added: bytes) -> bytes:
        """The head to pass on: as HTTP/1.1, without what was cut, with the field lines `added` (each led by CRLF)."""
        fields = without(data, self.line_end, self.end - 4, self.cuts)
        return b"HTTP/1.1" + data[8 : self.line_end] + fields + added + b"\r\n\r\n"


class ResponseReader:
    """Reads response heads. Built once for a listener: it remembers what it has seen before."""

    __slots__ = ("_head_bytes", "_header_count", "_heads", "_lines", "_status_lines", "_trailers")

    def __init__(self, *, head_bytes: int = sys.maxsize, header_count: int = sys.maxsize) -> None:
        self._head_bytes = head_bytes
        self._header_count = header_count
        self._lines = FieldLines(_MEANING)
        self._status_lines: dict[bytes, tuple[int, int]] = {}
        self._heads: dict[bytes, Response] = {}
        self._trailers: dict[bytes, tuple[bytes, int, bytes]] = {}

    def read(self, data: bytes, method: str, seen: int = 0, *, is_edited: bool = False) -> Response | None:
        """Judges the response head that `data` starts with, for a request with `method`.

        Returns None while the head is not complete, but might become one; `seen` is how much of `data` was there when
        that was said last. Raises ProtocolError (502).

        Unless it `is_edited`, the response may be one that others have, too: nothing of it is to be changed.
        """
        end = data.find(b"\r\n\r\n", seen - 3 if seen > 3 else 0)
        if end >= 0:
            return self.read_whole(data, end, method, is_edited)
        try:
            check_partial_response(data, seen)
        except ProtocolError as error:
            raise _unusable(error) from None
        if len(data) > self._head_bytes:
            raise self._too_large()
        return None

    def read_whole(self, data: bytes, end: int, method: str, is_edited: bool) -> Response:
        """The same of a head that is complete, up to the empty line at `end`."""
        if is_edited or end > MAX_HEAD or method == "HEAD":
            return self._judge(data, end, method)
        head = data[:end]
        known = self._heads.get(head)
        if known is not None:
            return known
        learned = self._lines.learned
        response = self._judge(data, end, method)
        if self._lines.learned == learned and not response.has_places and not response.told:
            # Each of its lines has come before, so that it may well come again.
            if len(self._heads) >= MAX_HEADS:
                self._heads.clear()
            self._heads[head] = response
        return response

    def _judge(self, data: bytes, end: int, method: str) -> Response:
        """Judges a head that ends at `end`."""
        lines = data[:end].split(b"\r\n")
        first = lines.pop(0)
        if end > self._head_bytes or len(lines) > self._header_count:
            raise self._too_large()
        known_line = self._status_lines.get(first)
        if known_line is None:
            known_line = self._read_status_line(first, data[: end + 4])
        status, minor = known_line
        response = Response(status, minor, len(first), end + 4)
        harmless = self._lines.harmless
        known = self._lines.known
        length = -1
        connections = 0
        chunked = False
        connection: bytes = b""
        after = len(first)
        for line in lines:
            start = after
            after += 2 + len(line)
            if line in harmless:
                continue
            field = known.get(line)
            if field is None:
                field = self._lines.learn(line)
            meaning = field.meaning
            if not meaning:
                continue
            if meaning == CONTENT_LENGTH:
                if length >= 0:
                    raise ProtocolError(BAD_RESPONSE, "the instance's response has more than one Content-Length")
                length = field.number
                if length < 0:
                    raise ProtocolError(BAD_RESPONSE, "the Content-Length of the instance's response is not a number")
            elif meaning == PLACE:
                response.has_places = True
            elif meaning == GRPC_STATUS:
                response.grpc_status = read_status(field.value)
            elif meaning == CONNECTION:
                connections += 1
                connection = field.value
                response.cut(start, after)
            elif meaning == TRANSFER_ENCODING:
                if chunked or field.value.lower() != b"chunked":
                    raise ProtocolError(
                        BAD_RESPONSE, "the Transfer-Encoding of the instance's response is not just `chunked`"
                    )
                chunked = True
            elif meaning == MALFORMED:
                raise _unusable(malformed_response(data[: end + 4]))
            else:
                if meaning == UPGRADE:
                    response.upgrade = field.value
                elif meaning == HOP:
                    response.told = field.value
                response.cut(start, after)
        if connections > 1:
            connection = b",".join(values_named(lines, b"connection"))
        if connection and (connection != b"keep-alive" or minor == 0):
            _read_connection(response, lines, connection)
        if chunked and length >= 0:
            raise ProtocolError(BAD_RESPONSE, "the instance's response has both Content-Length and Transfer-Encoding")
        if chunked and minor == 0:
            raise ProtocolError(BAD_RESPONSE, "the instance's response is HTTP/1.0 and has a Transfer-Encoding")
        if status < 200 or status == 204:
            response.body = 0
            if chunked or length >= 0:
                # RFC 9112 §6.1 and RFC 9110 §8.6: neither may be said here, and a client might wait for a body.
                response.cut_named(lines, _FRAMING)
        elif status == 304 or method == "HEAD":
            response.body = 0
        elif chunked:
            response.body = CHUNKED
        elif length >= 0:
            response.body = length
        else:
            response.keep_alive = False
        return response

    def read_trailers(self, lines: bytes, hidden: Hidden | None = None) -> tuple[bytes, int, bytes]:
        """Trailers as they are passed on, the status of a gRPC call among them, or NO_STATUS, and what a sidecar says to us.

        Both ways they are field lines, each led by CRLF. What means anything else to a proxy is left out, and what `may_trail`
        says (`hidden`: see there).
        """
        known = self._trailers.get(lines)
        if known is not None and hidden is None:
            return known
        kept: list[bytes] = []
        status = NO_STATUS
        told = b""
        for line in lines.split(b"\r\n")[1:]:
            field = self._lines.known.get(line) or self._lines.learn(line)
            if field.meaning == GRPC_STATUS:
                status = read_status(field.value)
            elif field.meaning == HOP:
                told = field.value
                continue
            elif field.meaning or not may_trail(line, hidden):
                continue
            kept.append(b"\r\n" + line)
        read = (b"".join(kept), status, told)
        if len(lines) <= MAX_TRAILERS and hidden is None:
            if len(self._trailers) >= MAX_HEADS:
                self._trailers.clear()
            self._trailers[lines] = read
        return read

    def _too_large(self) -> ProtocolError:
        most = f"{self._head_bytes} bytes or {self._header_count} fields"
        return ProtocolError(BAD_RESPONSE, f"the head of the instance's response has more than {most}")

    def _read_status_line(self, line: bytes, head: bytes) -> tuple[int, int]:
        match = STATUS_LINE.fullmatch(line)
        if match is None:
            raise _unusable(malformed_response(head))
        found = (int(match[2]), int(match[1]))
        if len(self._status_lines) < _MAX_STATUS_LINES and len(line) <= MAX_LENGTH:
            self._status_lines[line] = found
        return found


def _unusable(error: ProtocolError) -> ProtocolError:
    return ProtocolError(BAD_RESPONSE, f"the head of the instance's response is malformed: {error.detail}")


def _read_connection(response: Response, lines: list[bytes], connection: bytes) -> None:
    """Takes what all Connection fields say: whether the connection stays, and which fields were for us only."""
    options = read_options(connection)
    if options is None:
        raise ProtocolError(
            BAD_RESPONSE, f"the Connection of the instance's response has more than {MAX_OPTIONS} options"
        )
    response.keep_alive = b"close" not in options and (response.minor == 1 or b"keep-alive" in options)
    options -= _STANDING
    if options:
        response.cut_named(lines, options)


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
