"""What must hold for any bytes: only declared errors, the same result however cut up, and agreement with h11.

Each check takes one input and raises AssertionError (or whatever escaped from the program) where something is wrong.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator

import h11

from gateway.errors import ProtocolError
from gateway.http.chunked import ChunkedReader, last_chunk
from gateway.http.forwarding import FAMILIES, FORWARDING
from gateway.http.head_reader import HeadReader
from gateway.http.request import CHUNKED, Request
from tests.fuzz import oracle
from tests.fuzz.frames import check_http2
from tests.fuzz.splits import every_split, some_splits
from tests.fuzz.wire import Conversation, Relay, Wire

STATUSES = {200, 204, 400, 405, 414, 417, 431, 501, 505, 508}
"""What the answers to a client's bytes may be: 200 comes from the upstream, 204 is for `OPTIONS *`."""
EARLY = {400, 431, 501, 505}
"""How a head may be refused before its end is seen. One with several faults may get another of the statuses when whole."""

_WIRE = Wire()
_TWIN = re.compile(rb"[_.]")
_HOP_BY_HOP = {
    b"keep-alive",
    b"proxy-connection",
    b"proxy-authorization",
    b"http2-settings",
    b"expect",
}
_NOT_FROM_OUTSIDE = {b"x-gray-tag", *FORWARDING}
_NO_FAMILY_FROM_OUTSIDE = (b"x-gray-", *FAMILIES)
_OURS = [b"host", b"x-forwarded-for", b"x-forwarded-proto", b"x-forwarded-host", b"traceparent", b"x-gray-hop"]


def splits_of(data: bytes, thorough: bool) -> Iterator[list[bytes]]:
    """The ways to cut an input up: all halves too where a test has the time."""
    return every_split(data) if thorough else some_splits(data)


# --- requests


def check_request(data: bytes, thorough: bool = False) -> None:
    """A client's bytes: heads, bodies, whatever follows."""
    whole = _WIRE.ask([data])
    _check_requests(data, whole)
    for pieces in splits_of(data, thorough):
        _check_same(whole, _WIRE.ask(pieces), pieces)


def _check_same(whole: Conversation, split: Conversation, pieces: list[bytes]) -> None:
    assert set(split.statuses) <= STATUSES, split.statuses
    where = f"cut up as {pieces}"
    done = whole.completed
    assert split.completed == done, f"{split.statuses} instead of {whole.statuses}, {where}"
    assert split.is_closed == whole.is_closed, where
    assert split.sent[:done] == whole.sent[:done], where
    assert bool(split.refusal) == bool(whole.refusal), f"{split.statuses} instead of {whole.statuses}, {where}"
    if split.refusal != whole.refusal:
        assert split.refusal in EARLY, f"{split.statuses} instead of {whole.statuses}, {where}"
    assert len(split.requests) == len(whole.requests), where
    # The last request may have begun: what went upstream before its fault was seen depends on the packets.
    for one, other in zip(whole.sent[done:], split.sent[done:], strict=True):
        assert one.startswith(other) or other.startswith(one), where
        assert whole.refusal or one == other, where


def _check_requests(data: bytes, seen: Conversation) -> None:
    assert set(seen.statuses) <= STATUSES, seen.statuses
    position = 0
    for number, (request, sent) in enumerate(zip(seen.requests, seen.sent, strict=True)):
        while data.startswith(b"\r\n", position):
            position += 2
        assert data.startswith(request.head, position)
        _check_head(request)
        if number >= seen.completed:
            break
        behind = data[position + len(request.head) :]
        if seen.statuses[number] == 204:
            assert sent == b""
            if request.body:
                assert seen.is_closed, "a body that nobody read would be taken for the next request"
                break
            position += len(request.head)
            continue
        body, rest = _body_of(request, behind)
        theirs = oracle.read_request(data[position:])
        if not theirs.deliberate:
            assert theirs.is_complete
            assert (theirs.body, theirs.rest) == (body, rest)
            assert request.version == 0 or not request.keep_alive or theirs.may_go_on, "h11 would close here"
        _check_forwarded(request, body, sent)
        position = len(data) - len(rest)


def _body_of(request: Request, behind: bytes) -> tuple[bytes, bytes]:
    if request.body != CHUNKED:
        return behind[: request.body], behind[request.body :]
    reader = ChunkedReader(decode=True)
    body, rest = reader.feed(behind)
    assert reader.is_done
    return body, rest


def _check_head(request: Request) -> None:
    """The head, as we and as h11 read it. A head may be accepted whose body is malformed."""
    theirs = oracle.read_request(request.head).head
    assert isinstance(theirs, h11.Request)
    assert theirs.method == request.method.encode()
    assert theirs.target == request.target
    assert theirs.http_version == (b"1.1" if request.version else b"1.0")
    lengths = [value for name, value in theirs.headers if name == b"content-length"]
    codings = [value for name, value in theirs.headers if name == b"transfer-encoding"]
    assert codings == ([b"chunked"] if request.body == CHUNKED else [])
    assert [int(length) for length in lengths] in ([request.body], [] if request.body <= 0 else [request.body])
    hosts = [value for name, value in theirs.headers if name == b"host"]
    assert request.target[:1] not in b"/*" or hosts == ([request.authority] if hosts else [])


def _check_forwarded(request: Request, body: bytes, sent: bytes) -> None:
    """What went to the instance: one request that can be read in one way only, and nothing behind it."""
    theirs = oracle.read_request(sent)
    head = theirs.head
    assert isinstance(head, h11.Request)
    assert theirs.is_complete
    assert (theirs.body, theirs.rest, theirs.deliberate) == (body, b"", "")
    assert head.method == request.method.encode()
    assert head.http_version == b"1.1"
    path = request.raw_path + b"?" + request.query if request.query else request.raw_path
    assert head.target == (request.target if request.target[:1] == b"/" else path)
    if request.body == CHUNKED:
        assert theirs.framing == [(b"transfer-encoding", b"chunked")]
    else:
        assert theirs.framing in ([], [(b"content-length", b"%d" % len(body))])
        assert theirs.framing or not body
    names = [_TWIN.sub(b"-", name) for name in theirs.names]
    assert [names.count(name) for name in _OURS] == [1] * len(_OURS), theirs.names
    assert not set(names) & (_HOP_BY_HOP | _NOT_FROM_OUTSIDE), theirs.names
    assert not [name for name in names if name not in _OURS and name.startswith(_NO_FAMILY_FROM_OUTSIDE)], theirs.names
    assert b"tracestate" not in names or request.traceparent in request.head, "it belongs to another trace"
    twins = {b"content-length", b"transfer-encoding", b"connection", b"upgrade"}
    assert not (set(names) & twins) - set(theirs.names), theirs.names
    options = [value for name, value in head.headers if name in (b"connection", b"upgrade")]
    assert options in ([], [b"TE"], [b"Upgrade", request.upgrade])
    codings = [value for name, value in head.headers if name == b"te"]
    assert codings == ([b"trailers"] if options == [b"TE"] else []), "it is for this hop, and said anew"


# --- answers

_ASKING = {
    b"G": ("GET", b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"),
    b"H": ("HEAD", b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n"),
    b"0": ("GET", b"GET / HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n"),
    b"U": ("GET", b"GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n"),
}


def check_response(data: bytes, thorough: bool = False) -> None:
    """An upstream's bytes. The first says for which request: GET, HEAD, GET by HTTP/1.0, or with an Upgrade."""
    kind = data[:1] if data[:1] in _ASKING else b"G"
    method, request = _ASKING[kind]
    data = data[1:]
    whole = _WIRE.answer(request, [data])
    _check_relay(data, whole, kind, method)
    for pieces in splits_of(data, thorough):
        split = _WIRE.answer(request, pieces)
        where = f"cut up as {pieces}"
        assert split.is_closed == whole.is_closed, where
        if (whole.kind, split.kind) == ("failed", "aborted"):
            # Whole, the fault is seen before the head is passed on; in pieces, after it: the answer is cut short.
            _check_relay(data, split, kind, method)
            continue
        assert split.kind == whole.kind, where
        if whole.kind == "aborted":
            # Whole, the fault may be seen before anything is passed on.
            assert whole.written.startswith(split.written) or split.written.startswith(whole.written), where
        elif whole.kind != "failed":  # how the detail of a 502 is worded may depend on what was seen of the fault
            assert (_as_one_chunk(split.written), split.is_reused) == (_as_one_chunk(whole.written), whole.is_reused), (
                where
            )


def _as_one_chunk(written: bytes) -> bytes:
    """What was passed on, whatever the pieces in which it came: where we make chunks ourselves, each is one."""
    head, end, body = written.rpartition(_OUR_CHUNKS)
    if not end:
        return written
    fields, _, chunks = body.partition(b"\r\n\r\n")
    return head + end + fields + b"\r\n\r\n" + ChunkedReader(decode=True).feed(chunks)[0]


_OUR_CHUNKS = b"\r\nTransfer-Encoding: chunked"
"""As we write it, behind all that the upstream wrote."""


def _check_relay(data: bytes, relay: Relay, kind: bytes, method: str) -> None:
    assert relay.kind != "open"
    has_ended = relay.is_closed and relay.kind != "aborted"
    passed = oracle.read_answer(relay.written, method, kind == b"U", has_ended) if relay.written else None
    if relay.kind == "tunnel":
        assert kind == b"U"
        return
    if relay.kind == "aborted":
        assert passed is None or not passed.is_complete, "the client cannot tell that something is missing"
        return
    assert passed is not None
    assert passed.head is not None
    assert isinstance(passed.head, h11.Response)
    assert passed.is_complete
    assert (passed.rest, passed.deliberate) == (b"", "")
    assert passed.may_go_on != relay.is_closed or kind == b"0"
    if kind == b"0":
        assert passed.interims == []
        assert b"transfer-encoding" not in passed.names
    assert not set(passed.names) & {
        b"keep-alive",
        b"proxy-connection",
        b"proxy-authenticate",
        b"te",
        b"upgrade",
        b"x-gray-explain",
    }
    if relay.kind == "failed":
        return
    theirs = oracle.read_answer(data, method, kind == b"U")
    assert isinstance(theirs.head, h11.Response)
    assert theirs.head.status_code == passed.head.status_code
    if kind != b"0":
        assert theirs.interims == passed.interims
        lengths = [value for name, value in theirs.framing]
        has_body = method != "HEAD" and theirs.head.status_code not in (204, 304)
        if has_body and not lengths:
            lengths = [b"chunked"]  # an end that is told by closing is told by a last chunk
        assert [value for name, value in passed.framing] == ([] if theirs.head.status_code == 204 else lengths)
    if not theirs.deliberate:
        assert theirs.is_complete
        assert theirs.body == passed.body
        if relay.is_reused:
            assert theirs.rest == b"", "the connection is reused with bytes on it"
            assert theirs.may_go_on or theirs.head.http_version == b"1.0", "h11 would not reuse the connection"


# --- the chunked coding


def check_chunked(data: bytes, thorough: bool = False) -> None:
    """A chunked body and what follows it."""
    coded = _feed([data], decode=False)
    plain = _feed([data], decode=True)
    assert (coded is None) == (plain is None)
    for pieces in splits_of(data, thorough):
        assert _feed(pieces, decode=False) == coded, f"cut up as {pieces}"
        assert _feed(pieces, decode=True) == plain, f"cut up as {pieces}"
    if coded is None or plain is None:
        return
    again, rest, is_done = coded
    body, _, _ = plain
    assert coded[1:] == plain[1:]
    assert _feed([again], decode=False) == (again, b"", is_done), "what we write is not canonical"
    forwarded = oracle.read_request(_POST + again)
    assert (forwarded.body, forwarded.is_complete, forwarded.rest) == (body, is_done, b"")
    assert not forwarded.deliberate
    theirs = oracle.read_request(_POST + data)
    if not theirs.deliberate:
        assert (theirs.body, theirs.is_complete) == (body, is_done)
        assert not is_done or theirs.rest == rest


_POST = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
_READER = HeadReader("x-gray-tag")
_REQUEST = _READER.read(_POST)


def _feed(pieces: Iterable[bytes], decode: bool) -> tuple[bytes, bytes, bool] | None:
    """What is passed on, what is left over, whether the body ended; None where it is refused."""
    reader = ChunkedReader(decode)
    out: list[bytes] = []
    rest = b""
    try:
        for piece in pieces:
            if reader.is_done:
                rest += piece
            else:
                passed, rest = reader.feed(piece)
                out.append(passed)
                assert not rest or reader.is_done
    except ProtocolError as error:
        if (error.failure.status, error.failure.code) != (400, "bad_chunk"):
            raise
        return None
    if reader.is_done and not decode:
        out.append(last_chunk(_READER.read_trailers(_REQUEST, reader.trailers)))
    return b"".join(out), rest, reader.is_done


CHECKS: dict[str, Callable[[bytes, bool], None]] = {
    "request": check_request,
    "response": check_response,
    "chunked": check_chunked,
    "http2": check_http2,
}
