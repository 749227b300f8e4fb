"""Response heads: framing, what is passed on, what makes an upstream's answer unusable."""

from __future__ import annotations

import pytest

from gateway.errors import ProtocolError
from gateway.grpc.status import NO_STATUS
from gateway.http.response import CHUNKED, UNTIL_CLOSE, ResponseReader


def answer(*fields: bytes, line: bytes = b"HTTP/1.1 200 OK") -> bytes:
    return b"\r\n".join([line, *fields, b"", b""])


@pytest.mark.parametrize(
    ("data", "method", "body", "keeps"),
    [
        pytest.param(answer(b"Content-Length: 3"), "GET", 3, True, id="length"),
        pytest.param(answer(b"Content-Length: 3"), "HEAD", 0, True, id="HEAD has no body"),
        pytest.param(answer(b"Transfer-Encoding: chunked"), "GET", CHUNKED, True, id="chunked"),
        pytest.param(answer(), "GET", UNTIL_CLOSE, False, id="until close"),
        pytest.param(answer(line=b"HTTP/1.1 204 No Content"), "GET", 0, True, id="204"),
        pytest.param(answer(b"Content-Length: 9", line=b"HTTP/1.1 304 x"), "GET", 0, True, id="304 with a length"),
        pytest.param(answer(b"Content-Length: 3", line=b"HTTP/1.0 200 OK"), "GET", 3, False, id="1.0 closes"),
        pytest.param(
            answer(b"Content-Length: 3", b"Connection: keep-alive", line=b"HTTP/1.0 200 OK"),
            "GET",
            3,
            True,
            id="1.0 keeps",
        ),
        pytest.param(answer(b"Content-Length: 3", b"Connection: close"), "GET", 3, False, id="close"),
        pytest.param(
            answer(b"Content-Length: 3", b"Connection: close", b"Connection: keep-alive, x"),
            "GET",
            3,
            False,
            id="close, said first",
        ),
        pytest.param(answer(b"Content-Length: 0", line=b"HTTP/1.1 200"), "GET", 0, True, id="no reason phrase"),
    ],
)
def test_framing(data: bytes, method: str, body: int, keeps: bool) -> None:
    response = ResponseReader().read(data, method)
    assert response is not None
    assert (response.body, response.keep_alive) == (body, keeps)


def test_hop_by_hop_fields_are_not_passed_on() -> None:
    data = answer(
        b"Connection: close, X-Hop",
        b"Keep-Alive: timeout=5",
        b"X-Hop: 1",
        b"Proxy-Authenticate: x",
        b"Content-Length: 0",
        b"Date: now",
        line=b"HTTP/1.0 200 Fine",
    )
    response = ResponseReader().read(data, "GET")
    assert response is not None
    assert response.head(data, b"\r\nX: y") == (b"HTTP/1.1 200 Fine\r\nContent-Length: 0\r\nDate: now\r\nX: y\r\n\r\n")


@pytest.mark.parametrize("field", [b"Transfer-Encoding: chunked", b"Content-Length: 0", b"Content-Length: 9"])
@pytest.mark.parametrize("line", [b"HTTP/1.1 204 No Content", b"HTTP/1.1 103 Early Hints"])
def test_what_cannot_have_a_body_does_not_announce_one(line: bytes, field: bytes) -> None:
    data = answer(b"A: 1", field, b"B: 2", line=line)
    response = ResponseReader().read(data, "GET")
    assert response is not None
    assert response.body == 0
    assert response.head(data, b"") == answer(b"A: 1", b"B: 2", line=line)


def test_what_a_connection_names_is_cut_wherever_it_stands() -> None:
    names = [b"X-%d" % number for number in range(40)]
    fields = [name + b": 1" for name in names]
    data = answer(*fields[:20], b"Connection: close, " + b" ,".join(names).lower(), b"Date: now", *fields[20:])
    response = ResponseReader().read(data, "GET")
    assert response is not None
    assert response.head(data, b"") == answer(b"Date: now")


def test_an_explanation_of_somebody_elses_is_not_passed_on() -> None:
    data = answer(b"X-Gray-Explain: {}", b"Content-Length: 0", b"x-gray-EXPLAIN: {}", b"X-Gray-Version: 2")
    response = ResponseReader().read(data, "GET")
    assert response is not None
    assert response.head(data, b"") == answer(b"Content-Length: 0", b"X-Gray-Version: 2")


def test_connection_cannot_remove_framing() -> None:
    data = answer(b"Connection: Content-Length", b"Content-Length: 3")
    response = ResponseReader().read(data, "GET")
    assert response is not None
    assert response.head(data, b"") == b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n"


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(answer(b"Content-Length: 3", b"Transfer-Encoding: chunked"), id="CL and TE"),
        pytest.param(answer(b"Content-Length: 3", b"Content-Length: 4"), id="CL twice"),
        pytest.param(answer(b"Content-Length: -1"), id="CL -1"),
        pytest.param(answer(b"Content-Length: +5"), id="CL +5"),
        pytest.param(answer(b"Content-Length:"), id="CL empty"),
        pytest.param(answer(b"Transfer-Encoding: gzip"), id="unknown coding"),
        pytest.param(answer(b"Transfer-Encoding: chunked", line=b"HTTP/1.0 200 OK"), id="TE on 1.0"),
        pytest.param(b"hello\r\n\r\n", id="no status line"),
        pytest.param(b"hello", id="no status line, incomplete"),
        pytest.param(answer(line=b"HTTP/3.9 200 OK"), id="HTTP/3.9"),
        pytest.param(answer(line=b"HTTP/1.1 2000 OK"), id="status 2000"),
        pytest.param(answer(line=b"HTTP/1.1 600 OK"), id="status 600"),
        pytest.param(answer(line=b"HTTP/1.1 999 OK"), id="status 999"),
        pytest.param(answer(b"Connection: " + b"x," * 101), id="101 options"),
        pytest.param(answer(b"X: a").replace(b"\r\n", b"\n"), id="bare LFs, incomplete"),
        pytest.param(answer(b"NoColon")[:-2], id="no colon, incomplete"),
        pytest.param(b"HTTP/1.1 999 x\r\n", id="status 999, incomplete"),
        pytest.param(answer(b"X: a\0b"), id="NUL"),
        pytest.param(answer(b"X: a\rb"), id="bare CR"),
        pytest.param(answer(b"X: a", b" b"), id="fold"),
        pytest.param(answer(b"X : a"), id="space before colon"),
        pytest.param(answer(b"NoColon"), id="no colon"),
    ],
)
def test_refused(data: bytes) -> None:
    with pytest.raises(ProtocolError) as error:
        ResponseReader().read(data, "GET")
    assert error.value.failure.status == 502


def test_an_incomplete_head_waits() -> None:
    data = answer(b"Content-Length: 3")
    for size in range(len(data)):
        for seen in range(size):
            assert ResponseReader().read(data[:size], "GET", seen) is None


@pytest.mark.parametrize("seen", range(30))
def test_a_head_is_found_whatever_was_seen_of_it(seen: int) -> None:
    data = answer(b"Content-Length: 3")
    response = ResponseReader().read(data, "GET", min(seen, len(data) - 1))
    assert response is not None
    assert (response.status, response.body, response.end) == (200, 3, len(data))


def test_status_lines_remembered_are_short_and_few() -> None:
    reader = ResponseReader()
    reader.read(answer(line=b"HTTP/1.1 200 " + b"a" * 60_000), "GET")
    for number in range(300):
        reader.read(answer(line=b"HTTP/1.1 200 %d" % number), "GET")
    assert len(reader._status_lines) <= 256
    assert all(len(line) <= 256 for line in reader._status_lines)


def test_trailers_are_what_is_not_for_the_head() -> None:
    reader = ResponseReader()
    kept = b"\r\nX-Checksum: 1\r\ngrpc-status: 5"
    lines = (
        kept + b"\r\nSet-Cookie: a=b\r\nContent-Type: x\r\nx-hop: 1\r\nWWW-Authenticate: Basic\r\nTransfer-Encoding: x"
    )
    for _ in range(2):  # the second time they are known
        assert reader.read_trailers(lines) == (kept + b"\r\nx-hop: 1", 5, b"")
        assert reader.read_trailers(lines, [{b"x-hop"}]) == (kept, 5, b"")
        assert reader.read_trailers(b"\r\nx-hop: 1") == (b"\r\nx-hop: 1", NO_STATUS, b"")
        assert reader.read_trailers(b"\r\nx-hop: 1", [{b"x-other"}, {b"x-hop"}]) == (b"", NO_STATUS, b"")


PLAIN = answer(b"Content-Length: 3", b"Connection: keep-alive", b"Content-Type: text/plain")


def test_a_head_that_comes_again_is_judged_once() -> None:
    reader = ResponseReader()
    first = reader.read(PLAIN + b"abc", "GET")
    second = reader.read(PLAIN + b"d", "POST", 10)
    third = reader.read(PLAIN, "GET")
    assert first is not second is third
    assert second is not None
    assert (second.status, second.body, second.end, second.cuts) == (200, 3, len(PLAIN), [34, 58])
    # What is said to HEAD is something else, and who edits a response gets one of its own.
    for head in (reader.read(PLAIN, "HEAD"), reader.read(PLAIN, "HEAD")):
        assert head is not None
        assert head.body == 0
    edited = reader.read(PLAIN, "GET", is_edited=True)
    assert edited is not None
    assert edited is not third
    edited.cut_named([b"Content-Length: 3"], {b"content-length"})
    assert reader.read(PLAIN, "GET") is third
    assert second.cuts == [34, 58]


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(answer(b'ETag: "a"', b"Content-Length: 3"), id="never the same twice"),
        pytest.param(answer(b"Set-Cookie: a=b; Path=/x", b"Content-Length: 3"), id="for one client"),
        pytest.param(answer(b"Location: /x", b"Content-Length: 3"), id="a place"),
        pytest.param(answer(b"X-Gray-Hop: unavailable", b"Content-Length: 3"), id="told to us"),
        pytest.param(answer(b"X: " + b"x" * 240, b"Y: " + b"y" * 240, b"Z: " + b"z" * 40), id="long"),
    ],
)
def test_a_head_that_is_for_one_client_or_long_is_judged_each_time(data: bytes) -> None:
    reader = ResponseReader()
    responses = [reader.read(data, "GET") for _ in range(4)]
    assert len({id(response) for response in responses}) == 4
    assert not reader._heads


def test_heads_remembered_are_few() -> None:
    reader = ResponseReader()
    for _ in range(2):
        for number in range(1500):
            reader.read(answer(b"X-Left: %d" % (number % 40), b"X-Right: %d" % (number // 40)), "GET")
            assert len(reader._heads) <= 1024
    assert reader._heads
