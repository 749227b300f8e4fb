"""However a conversation is cut by the network, and whoever else has his turn between, it is the same conversation."""

from __future__ import annotations

import asyncio

from hypothesis import given
from hypothesis import strategies as st

from gateway.proxy.runqueue import SLICE
from tests.support.bounds import Limits
from tests.support.examples import examples
from tests.support.fakes import Wired

HELLO = b"GET /hello HTTP/1.1\r\nHost: x\r\n\r\n"
NONE = b"GET /none HTTP/1.1\r\nHost: x\r\n\r\n"
LENGTH = b"POST /hello HTTP/1.1\r\nHost: x\r\nContent-Length: 3000\r\n\r\n" + b"a" * 3000
CHUNKS = b"POST /hello HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" + b"1\r\na\r\n" * 3000 + b"0\r\n\r\n"
UP = b"POST /A/x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" + b"2\r\nab\r\n" * 2000 + b"0\r\n\r\n"
REQUESTS = {"hello": HELLO, "none": NONE, "length": LENGTH, "chunks": CHUNKS, "up": UP}
ANSWER = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"1\r\nz\r\n" * 2000 + b"0\r\n\r\n"


def pieces(data: bytes, sizes: list[int]) -> list[bytes]:
    """The data in pieces of these sizes, over and over."""
    found: list[bytes] = []
    at = index = 0
    while at < len(data):
        size = sizes[index % len(sizes)]
        found.append(data[at : at + size])
        at += size
        index += 1
    return found


async def converse(requests: list[bytes], sizes: list[int], is_slow: bool, lazy: bool = False) -> bytes:
    """What a client gets that sends these requests, as the network brings them.

    `is_slow`: each piece of work takes a slice. `lazy`: client and instance read only when they are waited for.
    """
    wired = Wired(Limits(pipelined_bytes=2000))
    wired.turns.cost = 2 * SLICE if is_slow else 0.0
    instance, there = wired.instance()
    client, here = wired.client()
    for transport in (here, there):
        transport.takes, transport.high = not lazy, 500
    answered = 0

    def go_on() -> None:
        nonlocal answered
        wired.turns.settle()
        while there.written.count(b"0\r\n\r\n") > answered:
            answered += 1
            for piece in pieces(ANSWER, sizes):
                instance.data_received(piece)
                wired.turns.settle()

    for piece in pieces(b"".join(requests), sizes):
        for _ in range(100):
            if not here.is_paused:
                break
            there.drain()
            here.drain()
            go_on()
        assert not here.is_paused, "the client would wait for ever"
        client.data_received(piece)
        go_on()
    for _ in range(100):
        go_on()
        there.drain()
        here.drain()
    assert (wired.traffic.in_flight, wired.traffic.internal_errors, client.held) == (0, 0, 0)
    return here.written


@examples(50)
@given(
    st.lists(st.sampled_from(sorted(REQUESTS)), min_size=1, max_size=6),
    st.lists(st.integers(1, 9000), min_size=1, max_size=5),
    st.booleans(),
    st.booleans(),
)
def test_cuts_turns_and_lazy_readers_change_nothing(
    names: list[str], sizes: list[int], is_slow: bool, lazy: bool
) -> None:
    requests = [REQUESTS[name] for name in names]
    sizes = [size * 50 if sum(sizes) < 500 else size for size in sizes]  # not every example byte by byte
    whole = asyncio.run(converse(requests, [1_000_000], False))
    assert asyncio.run(converse(requests, sizes, is_slow, lazy)) == whole
    assert whole.count(b"HTTP/1.1 ") == len(requests)
