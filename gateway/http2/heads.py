"""Header lists to heads (RFC 9113 §8): judged as messages, and written as HTTP/1.1 has them, which is what everything else reads.

A judged head holds nothing of its stream, so that one may serve every block that says the same (`blocks`).
"""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import Final

from gateway.http.grammar import TOKEN, VALUE
from gateway.http.request import Request
from gateway.http2.errors import Malformed
from gateway.http2.hpack import SECRETS, Field

NO_LENGTH: Final = -1
"""`length` of a head that does not say how long its body is."""
MAX_DIGITS: Final = 18

# §8.2.1: names are tokens in lower case; values have no line breaks and no white space around them. Joined, so that one match
# judges them all; neither separator is in what is accepted.
_LOWER: Final = TOKEN.replace(b"A-Z", b"")
_NAMES: Final = re.compile(rb"(?:" + _LOWER + rb"++\n)*+")
_VALUES: Final = re.compile(rb"(?:(?:[!-~\x80-\xff](?:" + VALUE + rb"*[!-~\x80-\xff])?)?\n)*+")
_METHOD: Final = re.compile(TOKEN + rb"++")
_PATH: Final = re.compile(rb"/[!-~]*+|\*")
_AUTHORITY: Final = re.compile(rb"[!-~]++")
_STATUS_LINES: Final = {status.value: f"HTTP/1.1 {status.value} {status.phrase}".encode() for status in HTTPStatus}
_SIZE: Final = re.compile(rb"\r\ncontent-length: [0-9]+")

_COOKIE: Final = 1
_REFUSED: Final = 2
_TE: Final = 3
_HOST: Final = 4
_LENGTH: Final = 5
_SECRET: Final = 6
_MEANINGS: Final[dict[bytes, int]] = {
    **dict.fromkeys(SECRETS, _SECRET),
    b"cookie": _COOKIE,
    # §8.2.2: these say something about a connection, and not about this one.
    b"connection": _REFUSED,
    b"proxy-connection": _REFUSED,
    b"keep-alive": _REFUSED,
    b"transfer-encoding": _REFUSED,
    b"upgrade": _REFUSED,
    b"te": _TE,
    b"host": _HOST,
    b"content-length": _LENGTH,
}
_UPGRADED: Final = frozenset(
    {b"sec-websocket-key", b"sec-websocket-accept", b"connection", b"upgrade", b"transfer-encoding", b"content-length"}
)


class RequestHead:
    """A request's head. `lines` are its field lines, each led by CRLF: all but Host, with one Cookie (§8.2.3).

    `length` is that of its Content-Length, or NO_LENGTH. `protocol` is that of an extended CONNECT (RFC 8441), else empty.
    `is_plain`: it holds no secrets, and may be remembered. `judged` is what its text has been judged to be, by what else matters.
    `has_trace`: a field of it says something about its trace. `room` is how much larger the list might have been.
    """

    __slots__ = (
        "_ended",
        "_open",
        "authority",
        "has_trace",
        "is_plain",
        "judged",
        "length",
        "lines",
        "method",
        "path",
        "protocol",
        "room",
        "scheme",
    )

    def __init__(self) -> None:
        self.method: bytes = b""
        self.scheme: bytes = b""
        self.authority: bytes = b""
        self.path: bytes = b""
        self.protocol: bytes = b""
        self.lines: bytes = b""
        self.length: int = NO_LENGTH
        self.is_plain: bool = True
        self.has_trace: bool = False
        self.room: int = 0
        self.judged: dict[int, Request] = {}
        self._ended: bytes = b""
        self._open: bytes = b""

    def text(self, ends: bool) -> bytes:
        """The head as HTTP/1.1 has it. `ends`: there is no body; one of unknown length is said to come in chunks."""
        if ends or self.length >= 0:
            if not self._ended:
                self._ended = self._text(b"")
            return self._ended
        if not self._open:
            self._open = self._text(b"\r\ntransfer-encoding: chunked")
        return self._open

    def traced(self, traceparent: bytes) -> RequestHead:
        """The same with one field more."""
        head = RequestHead()
        head.method = self.method
        head.scheme = self.scheme
        head.authority = self.authority
        head.path = self.path
        head.protocol = self.protocol
        head.lines = self.lines + b"\r\ntraceparent: " + traceparent
        head.length = self.length
        head.is_plain = self.is_plain
        head.has_trace = True
        return head

    def upgrade_text(self, key: bytes) -> bytes:
        """The head of an extended CONNECT as the upgrade that HTTP/1.1 has for it; `key` is for Sec-WebSocket-Key."""
        added = b"\r\nconnection: Upgrade\r\nupgrade: " + self.protocol + b"\r\nsec-websocket-key: " + key
        kept = [line for line in self.lines.split(b"\r\n")[1:] if line.partition(b":")[0] not in _UPGRADED]
        host = self._host()
        return (
            b"GET "
            + self.path
            + b" HTTP/1.1"
            + host
            + b"".join([b"\r\n" + line for line in kept])
            + added
            + b"\r\n\r\n"
        )

    def _text(self, added: bytes) -> bytes:
        return self.method + b" " + self.path + b" HTTP/1.1" + self._host() + self.lines + added + b"\r\n\r\n"

    def _host(self) -> bytes:
        return b"\r\nhost: " + self.authority if self.authority else b""


class ResponseHead:
    """A response's head, interim (1xx) or final. `lines` and `length` are as a request's."""

    __slots__ = ("_text", "_unsized", "is_plain", "length", "lines", "status")

    def __init__(self) -> None:
        self.status: int = 0
        self.lines: bytes = b""
        self.length: int = NO_LENGTH
        self.is_plain: bool = True
        self._text: bytes = b""
        self._unsized: bytes = b""

    @property
    def text(self) -> bytes:
        """The head as HTTP/1.1 has it."""
        if not self._text:
            self._text = self.text_as(self.status, b"")
        return self._text

    @property
    def unsized_text(self) -> bytes:
        """The same without Content-Length."""
        if not self._unsized:
            self._unsized = _SIZE.sub(b"", self.text)
        return self._unsized

    def text_as(self, status: int, added: bytes) -> bytes:
        """The same with another status, and with the field lines `added` (each led by CRLF)."""
        line = _STATUS_LINES.get(status) or b"HTTP/1.1 %d " % status
        return line + self.lines + added + b"\r\n\r\n"


def read_request(fields: list[Field]) -> RequestHead:
    """Judges a request's header list (§8.3.1). Raises Malformed."""
    head = RequestHead()
    pseudo, hosts = _read(fields, head)
    method = pseudo.pop(b":method", b"")
    scheme = pseudo.pop(b":scheme", b"")
    path = pseudo.pop(b":path", b"")
    authority = pseudo.pop(b":authority", b"")
    protocol = pseudo.pop(b":protocol", b"")
    if pseudo:
        raise Malformed("a pseudo-field is none of a request's")
    if _METHOD.fullmatch(method) is None:
        raise Malformed("there is no :method, or it is not a token")
    if method == b"CONNECT" and not protocol:
        if scheme or path or not authority:
            raise Malformed("CONNECT has :authority, and neither :scheme nor :path")
    else:
        if protocol and method != b"CONNECT":
            raise Malformed("only CONNECT has :protocol")
        if protocol and _METHOD.fullmatch(protocol) is None:
            raise Malformed(":protocol is not a token")
        if scheme not in (b"http", b"https"):
            raise Malformed("there is no :scheme, or it is neither http nor https")
        if _PATH.fullmatch(path) is None or (path == b"*" and method != b"OPTIONS"):
            raise Malformed("there is no :path, or it is not a path")
    for host in hosts:
        # §8.3.1: two that differ would be two requests.
        if authority and host.lower() != authority.lower():
            raise Malformed("the Host field is not what :authority says")
        authority = host
    if authority and _AUTHORITY.fullmatch(authority) is None:
        raise Malformed(":authority is not a host")
    head.method = method
    head.scheme = scheme
    head.path = path
    head.authority = authority
    head.protocol = protocol
    head.has_trace = b"\r\ntrace" in head.lines
    return head


def read_response(fields: list[Field]) -> ResponseHead:
    """Judges a response's header list (§8.3.2). Raises Malformed."""
    head = ResponseHead()
    pseudo, _ = _read(fields, head)
    status = pseudo.pop(b":status", b"")
    if pseudo or len(status) != 3 or not status.isdigit() or not b"100" <= status <= b"599":
        raise Malformed("there is no :status from 100 to 599, or another pseudo-field")
    if status == b"101":
        raise Malformed("HTTP/2 has no status 101")
    head.status = int(status)
    return head


def read_trailers(fields: list[Field]) -> bytes:
    """Judges trailers (§8.1): field lines, each led by CRLF. Raises Malformed."""
    head = ResponseHead()
    pseudo, hosts = _read(fields, head)
    if pseudo:
        raise Malformed("trailers have no pseudo-fields")
    if hosts or head.length >= 0:
        raise Malformed("trailers have neither Host nor Content-Length")
    return head.lines


def _read(fields: list[Field], head: RequestHead | ResponseHead) -> tuple[dict[bytes, bytes], list[bytes]]:
    """Puts the fields into `head`; returns the pseudo-fields, and the values of Host."""
    pseudo: dict[bytes, bytes] = {}
    hosts: list[bytes] = []
    names: list[bytes] = []
    values: list[bytes] = []
    lines: list[bytes] = []
    cookies: list[bytes] = []
    for name, value in fields:
        values.append(value)
        if name[:1] == b":":
            if names:
                raise Malformed("a pseudo-field comes after a field")
            if name in pseudo:
                raise Malformed("a pseudo-field is there twice")
            pseudo[name] = value
            continue
        names.append(name)
        meaning = _MEANINGS.get(name)
        if meaning is not None:
            if meaning == _COOKIE:
                head.is_plain = False
                cookies.append(value)
                continue
            if meaning == _HOST:
                hosts.append(value)
                continue
            if meaning == _REFUSED:
                raise Malformed("a field is about the connection, which HTTP/2 has no fields for")
            if meaning == _SECRET:
                head.is_plain = False
            elif meaning == _TE and value.lower() != b"trailers":
                raise Malformed("TE says something else than `trailers`")
            elif meaning == _LENGTH:
                if head.length >= 0:
                    raise Malformed("there is more than one Content-Length")
                head.length = _length(value)
        lines.append(b"\r\n" + name + b": " + value)
    if not _is_all(_NAMES, names):
        raise Malformed("a field's name is not a token in lower case")
    if not _is_all(_VALUES, values):
        raise Malformed("a field's value has a control character, or white space around it")
    if cookies:
        lines.append(b"\r\ncookie: " + b"; ".join([cookie for cookie in cookies if cookie]))
    head.lines = b"".join(lines)
    return pseudo, hosts


def _is_all(pattern: re.Pattern[bytes], texts: list[bytes]) -> bool:
    joined = b"\n".join(texts) + b"\n" if texts else b""
    return pattern.fullmatch(joined) is not None and joined.count(b"\n") == len(texts)


def _length(value: bytes) -> int:
    if len(value) > MAX_DIGITS or not value.isdigit():
        raise Malformed(f"Content-Length is not a number of 1 to {MAX_DIGITS} digits")
    return int(value)
