"""Whole blocks: heads from those that were seen before, by their bytes; and blocks from heads of HTTP/1.1, line by line.

Neither side uses a dynamic table (`hpack`), so that a block, and the bytes of a field, say the same whenever they come. Most
are repeated, above all between programs: looking one up costs a tenth of reading it. What is remembered is bounded, and
credentials never are.
"""

from __future__ import annotations

from typing import Final

from gateway.http.lines import NEVER_KEPT
from gateway.http2.errors import ConnectionFailure, Malformed
from gateway.http2.heads import RequestHead, ResponseHead, read_request, read_response, read_trailers
from gateway.http2.hpack import OVERHEAD, Decoder, Field, encode_field
from gateway.telemetry.tracecontext import is_traceparent

MAX_BLOCKS: Final = 1024
LONGEST_BLOCK: Final = 1024
"""Heads remembered: about two megabytes at the most, of each kind. When they are that many, all are forgotten."""
LONGEST_TRAILERS: Final = 64
"""Trailers remembered: those without a message."""
MAX_LINES: Final = 4096
LONGEST_LINE: Final = 256

_AUTHORITY: Final = 0x01
"""The first byte of an :authority that is encoded here: no other field has it."""

_TRACE_LINE: Final = b"\r\ntraceparent: "
_TRACE: Final = b"\x00\x0btraceparent\x37"
_TRACE_SIZE: Final = len(_TRACE) + 0x37
_TRACE_ROOM: Final = len("traceparent") + 0x37 + OVERHEAD
"""What a `traceparent` begins with that is encoded here, how long that is, and what it counts in a list."""

_DROPPED: Final = frozenset(
    {b"connection", b"keep-alive", b"proxy-connection", b"te", b"transfer-encoding", b"upgrade"}
)
"""What is said of a connection (§8.2.2). Sorted out by name: a head of HTTP/1.1 may have it."""


class BlockMemo:
    """Heads by the bytes of their blocks, for all connections that accept header lists of the same size."""

    __slots__ = ("requests", "responses", "trailers")

    def __init__(self) -> None:
        self.requests: dict[bytes, RequestHead] = {}
        self.responses: dict[bytes, ResponseHead] = {}
        self.trailers: dict[bytes, bytes] = {}


class BlockReader:
    """Reads the header blocks of one connection, each once and in their order, because the decoder depends on it.

    Each method raises Malformed for what is no message, and ConnectionFailure for what cannot be read at all.
    """

    __slots__ = ("_memo", "decoder")

    def __init__(self, list_bytes: int, memo: BlockMemo) -> None:
        self.decoder = Decoder(list_bytes)
        self._memo = memo

    def traced_request(self, block: bytes) -> tuple[RequestHead, bytes]:
        """A request's head, and the `traceparent` that is its last field, if a program like this one has sent it, else empty.

        It is all that differs between many requests, so that without it their heads come again.
        """
        at = len(block) - _TRACE_SIZE
        if at < 0 or block[at : at + len(_TRACE)] != _TRACE or not self.decoder.is_stateless:
            return self.request(block), b""
        traceparent = block[at + len(_TRACE) :]
        if not is_traceparent(traceparent):
            return self.request(block), b""
        try:
            head = self.request(block[:at])
        except ConnectionFailure:
            # What is before it is no block: it was not a field, but the end of one that looks the same.
            return self.request(block), b""
        if head.room < _TRACE_ROOM:
            raise _too_large()
        return (head.traced(traceparent), b"") if head.has_trace or head.protocol else (head, traceparent)

    def request(self, block: bytes) -> RequestHead:
        """A request's head."""
        requests = self._memo.requests
        is_pure = self.decoder.is_stateless
        if is_pure:
            known = requests.get(block)
            if known is not None:
                return known
        head = read_request(self.fields(block))
        head.room = self.decoder.left
        if is_pure and head.is_plain and len(block) <= LONGEST_BLOCK:
            if len(requests) >= MAX_BLOCKS:
                requests.clear()
            requests[block] = head
        return head

    def response(self, block: bytes) -> ResponseHead:
        """A response's head, final or interim."""
        responses = self._memo.responses
        is_pure = self.decoder.is_stateless
        if is_pure:
            known = responses.get(block)
            if known is not None:
                return known
        head = read_response(self.fields(block))
        if is_pure and head.is_plain and len(block) <= LONGEST_BLOCK:
            if len(responses) >= MAX_BLOCKS:
                responses.clear()
            responses[block] = head
        return head

    def trailers(self, block: bytes) -> bytes:
        """Trailers: field lines, each led by CRLF. Most of gRPC's are the same few bytes."""
        trailers = self._memo.trailers
        is_pure = self.decoder.is_stateless and len(block) <= LONGEST_TRAILERS
        if is_pure:
            known = trailers.get(block)
            if known is not None:
                return known
        lines = read_trailers(self.fields(block))
        if is_pure:
            if len(trailers) >= MAX_BLOCKS:
                trailers.clear()
            trailers[block] = lines
        return lines

    def fields(self, block: bytes) -> list[Field]:
        """The fields of any block: it must be read even if nobody wants to know what it says."""
        fields = self.decoder.decode(block)
        if self.decoder.is_cut:
            raise _too_large()
        return fields


def _too_large() -> Malformed:
    return Malformed("the header list is larger than what is accepted", is_too_large=True)


_HTTP: Final = encode_field(b":scheme", b"http")
_HTTPS: Final = encode_field(b":scheme", b"https")
_TE: Final = encode_field(b"te", b"trailers")
_METHODS: Final = {
    name: encode_field(b":method", name) for name in (b"GET", b"POST", b"PUT", b"DELETE", b"PATCH", b"HEAD")
}

_LINES: Final[dict[bytes, bytes]] = {}
_STATUS_LINES: Final[dict[bytes, bytes]] = {}
_FIRST_LINES: Final[dict[bytes, tuple[bytes, bytes]]] = {}
_REQUESTS: Final[dict[bytes, dict[bytes, bytes]]] = {b"http": {}, b"https": {}}
"""Blocks by heads, for each scheme."""
_HEADS: Final[dict[bytes, bytes]] = {}
_TRAILERS: Final[dict[bytes, bytes]] = {}


def request_block(head: bytes, scheme: bytes, protocol: bytes = b"", takes_trailers: bool = False) -> bytes:
    """The block of a request head of HTTP/1.1 (to the empty line that ends it), whose target is a path.

    Names become lower-case, Host becomes :authority, and what is said of the connection is left out; `traceparent` becomes the
    last field. With a `protocol` an upgrade to it becomes an extended CONNECT (RFC 8441). `takes_trailers`: it says so (TE).
    """
    last = _TE if takes_trailers else b""
    at = head.find(_TRACE_LINE)
    if at >= 0:
        # It is all that differs between many requests: without it their heads come again.
        begin = at + len(_TRACE_LINE)
        end = begin + 0x37
        # A line of that length, without white space around the value.
        if head.find(b"\r\n", begin) == end and head[begin] > 0x20 and head[end - 1] > 0x20:
            last += _TRACE + head[begin:end]
            head = head[:at] + head[end:]
    if protocol:
        return _request_block(head, scheme, protocol)[0] + last
    heads = _REQUESTS[scheme]
    block = heads.get(head)
    if block is None:
        block, is_known = _request_block(head, scheme, protocol)
        if is_known and len(head) <= LONGEST_BLOCK:
            if len(heads) >= MAX_BLOCKS:
                heads.clear()
            heads[head] = block
    return block + last


def _request_block(head: bytes, scheme: bytes, protocol: bytes) -> tuple[bytes, bool]:
    """The block, and whether every line of it was known: only then the head may be kept, and is worth it."""
    lines = head[:-4].split(b"\r\n")
    first = lines.pop(0)
    target = _FIRST_LINES.get(first)
    before, after = target or _encode_first(first)
    if protocol:
        before = encode_field(b":method", b"CONNECT") + encode_field(b":protocol", protocol)
    authority, fields, is_known = _encode_lines(lines)
    block = b"".join([before, _HTTPS if scheme == b"https" else _HTTP, authority, after, fields])
    return block, is_known and target is not None


def _encode_first(line: bytes) -> tuple[bytes, bytes]:
    """The bytes of the method and of the path in a request line, which ends with ` HTTP/1.1`."""
    end = line.find(b" ")
    method = line[:end]
    found = (_METHODS.get(method) or encode_field(b":method", method), encode_field(b":path", line[end + 1 : -9]))
    if len(line) <= LONGEST_LINE and b"?" not in line:  # parameters may be secrets, and are seldom the same
        if len(_FIRST_LINES) >= MAX_LINES:
            _FIRST_LINES.clear()
        _FIRST_LINES[line] = found
    return found


def response_block(head: bytes) -> bytes:
    """The block of a response head of HTTP/1.1 (to the empty line that ends it)."""
    block = _HEADS.get(head)
    if block is None:
        block = _response_block(head)
        if len(head) <= LONGEST_BLOCK and b"cookie" not in head.lower():
            if len(_HEADS) >= MAX_BLOCKS:
                _HEADS.clear()
            _HEADS[head] = block
    return block


def _response_block(head: bytes) -> bytes:
    lines = head[:-4].split(b"\r\n")
    first = lines.pop(0)
    status = _STATUS_LINES.get(first)
    if status is None:
        status = encode_field(b":status", first[9:12])
        if len(_STATUS_LINES) < MAX_LINES and len(first) <= LONGEST_LINE:
            _STATUS_LINES[first] = status
    return status + _encode_lines(lines)[1]


def trailers_block(lines: bytes) -> bytes:
    """The block of trailers: field lines, each led by CRLF."""
    block = _TRAILERS.get(lines)
    if block is None:
        block = _encode_lines(lines.split(b"\r\n")[1:])[1]
        if len(lines) <= LONGEST_TRAILERS:
            if len(_TRAILERS) >= MAX_BLOCKS:
                _TRAILERS.clear()
            _TRAILERS[lines] = block
    return block


def _encode_lines(lines: list[bytes]) -> tuple[bytes, bytes, bool]:
    """The bytes of :authority, empty if no line is Host, and of all other lines; and whether all lines were known."""
    is_known = True
    authority = b""
    trace = b""
    parts: list[bytes] = []
    for line in lines:
        encoded = _LINES.get(line)
        if encoded is None:
            is_known = False
            encoded = _learn(line)
            if len(encoded) == _TRACE_SIZE and encoded.startswith(_TRACE):
                trace += encoded
                continue
        if encoded and encoded[0] == _AUTHORITY:
            authority = encoded
        else:
            parts.append(encoded)
    parts.append(trace)
    return authority, b"".join(parts), is_known


def _learn(line: bytes) -> bytes:
    name, _, value = line.partition(b":")
    name = name.lower()
    encoded = b""
    if name not in _DROPPED:
        encoded = encode_field(b":authority" if name == b"host" else name, value.strip(b" \t"))
    if name not in NEVER_KEPT and len(line) <= LONGEST_LINE:
        if len(_LINES) >= MAX_LINES:
            _LINES.clear()
        _LINES[line] = encoded
    return encoded
