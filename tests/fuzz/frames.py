"""What must hold for any bytes of an HTTP/2 peer: only declared ends, the same events however cut up, and one meaning in HTTP/1.1.

The first byte says who we are: `C` a client that has sent two requests, anything else a server. The preface is not fuzzed.
"""

from __future__ import annotations

from typing import Any

import h11

from gateway.errors import ProtocolError
from gateway.http.head_reader import HeadReader
from gateway.http2.events import REQUEST, RESPONSE, Event
from gateway.http2.frames import HEAD_SIZE, settings_frame
from gateway.http2.heads import RequestHead
from gateway.http2.terms import Terms
from tests.fuzz import oracle
from tests.fuzz.splits import every_split, some_splits
from tests.support.http2 import GET, POST, End, block, data, frame, headers, hello, told

_READER = HeadReader("x-gray-tag")
LIST_BYTES = 512


def check_http2(given: bytes, thorough: bool = False) -> None:
    """A peer's bytes, behind how it begins."""
    is_server = given[:1] != b"C"
    sent = given[1:]
    whole = _follow(is_server, [sent])
    for pieces in every_split(sent) if thorough else some_splits(sent):
        assert _follow(is_server, pieces) == whole, f"cut up as {pieces}"


def _follow(is_server: bool, pieces: list[bytes]) -> tuple[list[Any], bytes]:
    end = End(Terms(list_bytes=LIST_BYTES, control=20, resets=8, streams=10), is_server)
    end.feed(hello() if is_server else settings_frame([]))
    if not is_server:
        for fields in (GET, POST):
            stream = end.endpoint.open()
            assert stream is not None
            end.endpoint.send_head(stream, block(fields), fields is GET)
    found = end.feed(*pieces)
    for event in found:
        _check(event)
    assert sum(map(len, end.endpoint._block)) <= 2 * LIST_BYTES + 16384
    assert len(end.endpoint.streams) <= 10
    assert end.endpoint.receive_window >= -16384
    return told(found), end.written


def _check(event: Event) -> None:
    if event.kind == REQUEST:
        assert event.request is not None
        _check_request(event.request, event.ends)
    elif event.kind == RESPONSE:
        assert event.response is not None
        client = h11.Connection(h11.CLIENT, max_incomplete_event_size=2**20)
        client.send(h11.Request(method="GET", target="/", headers=[("host", "a")]))
        client.receive_data(event.response.text)
        passed = client.next_event()
        assert isinstance(passed, h11.Response | h11.InformationalResponse)
        assert passed.status_code == event.response.status
        assert len(passed.headers) == event.response.lines.count(b"\r\n")


def _check_request(head: RequestHead, ends: bool) -> None:
    """In HTTP/1.1 it is one request, with the same method, target and host, or it is refused."""
    if head.method == b"CONNECT":
        if not head.protocol:
            return
        text = head.upgrade_text(b"x" * 24)
    else:
        text = head.text(ends)
    try:
        request = _READER.read(text)
    except ProtocolError:
        return
    assert request.head == text
    theirs = oracle.read_request(text).head
    assert isinstance(theirs, h11.Request)
    assert theirs.target == head.path
    assert theirs.method == (b"GET" if head.protocol else head.method)
    assert dict(theirs.headers)[b"host"] == head.authority
    assert len(theirs.headers) == text.count(b"\r\n") - 2


WORDS = [
    headers(1, GET),
    headers(1, POST, False),
    headers(3, [*GET, (b"cookie", b"a=1"), (b"cookie", b"b=2")]),
    headers(5, [*POST, (b"content-length", b"5")], False),
    headers(1, [(b":status", b"200")], False),
    headers(1, [(b":status", b"103"), (b"link", b"</a>")], False),
    headers(3, [(b"grpc-status", b"0")]),
    headers(7, [(b":method", b"CONNECT"), (b":protocol", b"websocket"), *GET[1:]], False),
    data(1, b"hello"),
    data(5, b"hello", True),
    data(1, b"", True),
    frame(1, 0, 1, block(GET)[:3]),
    frame(9, 4, 1, block(GET)[3:]),
    frame(2, 0, 1, b"\0\0\0\0\0"),
    frame(3, 0, 1, b"\0\0\0\x08"),
    settings_frame([(4, 10)]),
    settings_frame([(5, 20000), (3, 1)]),
    frame(4, 1, 0),
    frame(6, 0, 0, b"12345678"),
    frame(7, 0, 0, b"\0" * 8),
    frame(8, 0, 0, b"\0\0\0\1"),
    frame(8, 0, 1, b"\x7f\xff\xff\xff"),
    frame(0x77, 0, 0, b"x"),
]
"""Frames that a mutation may put somewhere."""


def parts_of(sent: bytes) -> list[bytes]:
    """The frames that some bytes are, as far as they are."""
    parts = []
    while sent:
        length = HEAD_SIZE + int.from_bytes(sent[:3], "big")
        parts.append(sent[:length])
        sent = sent[length:]
    return parts
