"""What a message costs is in proportion to its size, whatever it says. Counted are calls and bytes, never seconds."""

from __future__ import annotations

import contextlib
import re
import sys
import tracemalloc
from collections.abc import Callable
from types import FrameType

import pytest

from gateway.errors import ProtocolError
from gateway.http.chunked import ChunkedReader
from gateway.http.head_reader import HeadReader
from gateway.http.response import ResponseReader
from tests.support.hostile import GET

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n"


def lines(name: bytes, count: int, value: bytes = b"1") -> bytes:
    return b"".join(name % number + b": " + value + b"\r\n" for number in range(count))


def options(count: int) -> bytes:
    return b"Connection: " + b",".join(b"X-%d" % number for number in range(count)) + b"\r\n"


HEADS: dict[str, Callable[[int], bytes]] = {
    "connection options that name fields": lambda n: options(n) + lines(b"X-%d", n),
    "connection options that name nothing": options,
    "connection options on lines of their own": lambda n: b"".join(b"Connection: X-%d\r\n" % i for i in range(n)),
    "fields for one hop": lambda n: b"Keep-Alive: 1\r\n" * n,
    "codings": lambda n: b"Transfer-Encoding: x\r\n" * n,
    "fields never seen before": lambda n: lines(b"X-New-%d", n),
    "claims": lambda n: lines(b"X-Forwarded-%d", n),
    "a chain of proxies": lambda n: b"X-Forwarded-For: " + b"1.1.1.1," * n + b"\r\n",
    "elements of RFC 7239": lambda n: b"Forwarded: " + b'for="a,b",' * n + b"\r\n",
    "traces": lambda n: b"".join(b"traceparent: 00-%032x-b7ad6b7169203331-01\r\n" % (i + 1) for i in range(n)),
    "states of traces": lambda n: b"tracestate: a=1\r\n" * n,
}


def read_request(head: bytes) -> None:
    HeadReader("x-gray-tag").read(GET + head + b"\r\n")


def read_answer(head: bytes) -> None:
    ResponseReader().read(ANSWER + head + b"\r\n", "GET")


def target(path: bytes) -> None:
    HeadReader("x-gray-tag").read(b"GET " + path + b" HTTP/1.1\r\nHost: x\r\n\r\n")


def calls_of(read: Callable[[bytes], None], message: bytes) -> int:
    """Calls that reading takes, of the program's functions and of the interpreter's own."""
    calls = 0

    def count(frame: FrameType, event: str, argument: object) -> None:
        nonlocal calls
        calls += event in ("call", "c_call")

    sys.setprofile(count)
    try:
        read(message)
    except ProtocolError:
        pass
    finally:
        sys.setprofile(None)
    return calls


@pytest.mark.parametrize("read", [read_request, read_answer])
@pytest.mark.parametrize("make", HEADS.values(), ids=HEADS)
def test_a_head_of_twice_as_many_takes_twice_the_calls(
    read: Callable[[bytes], None], make: Callable[[int], bytes]
) -> None:
    calls_of(read, make(1))  # what is made once
    few, many = calls_of(read, make(20)), calls_of(read, make(40))
    assert many <= 2 * few


@pytest.mark.parametrize("piece", [b"/%41", b"/%2f", b"//", b"/a;", b"/.a", b"/..a"])
def test_a_path_of_twice_as_many_takes_twice_the_calls(piece: bytes) -> None:
    few, many = calls_of(target, piece * 200), calls_of(target, piece * 400)
    assert many <= 2 * few


@pytest.mark.parametrize("chunk", [b"1\r\na\r\n", b"1;a=b\r\na\r\n"])
def test_chunks_take_a_few_calls_each(chunk: bytes) -> None:
    def read(body: bytes) -> None:
        ChunkedReader().feed(body)

    read(chunk)
    few, many = calls_of(read, chunk * 100), calls_of(read, chunk * 200)
    assert many <= 2 * few
    assert few <= 100 * (9 if b";" not in chunk else 18)


@pytest.mark.parametrize("read", [read_request, read_answer])
@pytest.mark.parametrize("make", HEADS.values(), ids=HEADS)
def test_no_message_has_a_pattern_compiled_for_it(
    read: Callable[[bytes], None], make: Callable[[int], bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    compiled: list[object] = []
    read(b"")
    with monkeypatch.context() as patch:
        patch.setattr(re, "_compile", lambda *arguments: compiled.append(arguments))
        with contextlib.suppress(ProtocolError, AttributeError):
            read(make(40))
    assert compiled == []


@pytest.mark.parametrize("read", [read_request, read_answer])
@pytest.mark.parametrize(
    "head",
    [
        pytest.param(b"Connection: " + b"a," * 30_000 + b"\r\n", id="30,000 options"),
        pytest.param(
            b"Connection: " + b",".join(b"%d" % number for number in range(10_000)) + b"\r\n", id="10,000 options"
        ),
        pytest.param(b"Connection: " + b"a" * 600 + b"\r\n", id="one long option"),
        pytest.param((b"Connection: " + b"a" * 600 + b"\r\n") * 90, id="90 lines of one long option"),
        pytest.param(options(90) + lines(b"X-%d", 9, b"a" * 6000), id="large fields that are cut"),
    ],
)
def test_a_head_takes_memory_in_proportion_to_its_size(read: Callable[[bytes], None], head: bytes) -> None:
    calls_of(read, head)
    tracemalloc.start()
    try:
        read(head)
    except ProtocolError:
        pass
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peak <= 8 * len(head) + 65_536
