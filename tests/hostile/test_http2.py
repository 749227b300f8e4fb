"""Attacks on HTTP/2, each by its CVE, over real sockets: the connection ends, nothing is left of it, and others are served."""

from __future__ import annotations

import asyncio
import contextlib
import sys
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from types import FrameType

import pytest

import gateway
from gateway.http2.frames import (
    ACK,
    CONTINUATION,
    DATA,
    HEADERS,
    PADDED,
    PING,
    PRIORITY,
    RST_STREAM,
    SETTINGS,
    WINDOW_UPDATE,
)
from gateway.http2.hpack import encode_field
from gateway.http2.terms import Terms
from tests.support.hostile import started
from tests.support.http2 import GET, POST, End, SocketClient, block, data, frame, frames_of, headers, hello
from tests.support.origin import Origin
from tests.support.proxy import Proxy
from tests.support.wait import until

CANCEL = b"\0\0\0\x08"
BOMB = block(GET) + b"\x40\x01a\x7f\xa1\x1e" + b"x" * 4000
HELLO = [*GET[:2], (b":path", b"/hello"), GET[3]]


def each(count: int, make: Callable[[int], bytes]) -> bytes:
    return b"".join([make(2 * number + 1) for number in range(count)])


ATTACKS: dict[str, tuple[str, Callable[[int], bytes]]] = {
    "CVE-2019-9512: ping flood": ("control_frames", lambda n: frame(PING, 0, 0, b"12345678") * n),
    "CVE-2019-9513: resource loop": (
        "control_frames",
        lambda n: each(n, lambda i: frame(PRIORITY, 0, i + 2, b"\0\0\0\1\0")),
    ),
    "CVE-2019-9514: reset flood": (
        "resets",
        lambda n: each(n, lambda i: headers(i, [*GET, (b"connection", b"close")])),
    ),
    "CVE-2019-9515: settings flood": ("control_frames", lambda n: frame(SETTINGS, 0, 0) * n),
    "CVE-2019-9518: empty frames": ("control_frames", lambda n: headers(1, POST, False) + frame(DATA, 0, 1) * n),
    "CVE-2019-9518: frames of padding": (
        "control_frames",
        lambda n: headers(1, POST, False) + frame(DATA, PADDED, 1, b"\x01\0") * n,
    ),
    "CVE-2023-44487: rapid reset": (
        "resets",
        lambda n: each(n, lambda i: headers(i, GET) + frame(RST_STREAM, 0, i, CANCEL)),
    ),
    "CVE-2025-8671: made you reset, by windows": (
        "resets",
        lambda n: each(n, lambda i: headers(i, POST, False) + frame(WINDOW_UPDATE, 0, i, b"\0\0\0\0")),
    ),
    "CVE-2025-8671: made you reset, by data": (
        "resets",
        lambda n: each(n, lambda i: headers(i, POST) + data(i, b"x")),
    ),
    "CVE-2024-27316: continuation flood, empty": (
        "continuations",
        lambda n: frame(HEADERS, 0, 1) + frame(CONTINUATION, 0, 1) * n,
    ),
    "CVE-2024-27316: continuation flood, full": (
        "continuations",
        lambda n: frame(HEADERS, 0, 1, block(GET)) + frame(CONTINUATION, 0, 1, encode_field(b"a", b"b" * 1000)) * n,
    ),
    "streams beyond the limit": ("resets", lambda n: each(n, lambda i: headers(i, POST, False))),
    "acknowledgements of settings": ("control_frames", lambda n: frame(SETTINGS, ACK, 0) * n),
    "unknown frames": ("control_frames", lambda n: frame(0x99, 0, 0, b"x") * n),
}

every_attack = pytest.mark.parametrize(("reason", "attack"), ATTACKS.values(), ids=ATTACKS)


@every_attack
async def test_the_connection_ends_and_others_are_served(
    origin: Origin, reason: str, attack: Callable[[int], bytes]
) -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    origin.script = silent
    proxy = Proxy()
    async with started(proxy, origin):
        bystander = await SocketClient().connect(proxy.listener.port)
        client = await proxy.connect()
        with contextlib.suppress(ConnectionError):
            await client.send(hello() + attack(5000))
        written = await client.rest()
        goaways = [item for item in frames_of(written) if type(item).__name__ == "GoAwayFrame"]
        assert [item.error_code for item in goaways] in ([11], []), "the client may be reset before it has read it"
        refused = {name: count for name, count in proxy.traffic.http2_failures.items() if name != "streams"}
        assert refused == {reason: 1}
        await until(lambda: proxy.traffic.in_flight == 0)
        assert origin.connections <= 201
        assert (await bystander.ask(HELLO)).status == 200
        bystander.close()


PROGRAM = str(Path(gateway.__file__).parent)


@every_attack
def test_what_it_costs_has_an_end(reason: str, attack: Callable[[int], bytes]) -> None:
    """Ten times as much of it costs no more calls, and no more memory."""

    def run(count: int) -> tuple[int, int]:
        end = End().begin()
        sent = attack(count)
        calls = 0

        def note(frame: FrameType, event: str, argument: object) -> None:
            nonlocal calls
            # Of this program alone: a collection of garbage has callbacks of its own.
            calls += event in ("call", "c_call") and frame.f_code.co_filename.startswith(PROGRAM)

        tracemalloc.start()
        sys.setprofile(note)
        end.feed(sent)
        sys.setprofile(None)
        kept = tracemalloc.get_traced_memory()[0]
        tracemalloc.stop()
        return calls, kept - len(sent)

    run(10)  # what is made when it is first needed
    few, many = run(2000), run(20_000)
    assert many[0] <= few[0] * 1.01 + 100
    assert many[1] <= few[1] + 100_000
    assert many[1] < 3_000_000


def test_a_bomb_is_not_unfolded() -> None:
    """HPACK bomb (CVE-2016-1544 and its like): 14 KB that say 40 MB."""
    end = End(Terms(list_bytes=65536)).begin()
    tracemalloc.start()
    found = end.feed(frame(HEADERS, 5, 1, BOMB + b"\xbe" * 10_000) + headers(3, GET))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert [(event.kind, event.code) for event in found] == [(6, 1), (1, 0)]
    assert peak < 1_000_000


async def test_a_bomb_is_431(origin: Origin) -> None:
    proxy = Proxy()
    async with started(proxy, origin):
        client = await proxy.connect()
        await client.send(hello() + frame(HEADERS, 5, 1, BOMB + b"\xbe" * 10_000) + headers(3, HELLO))
        written = b""
        while b"hello" not in written:
            written += await client.reader.read(65536)
        assert b"431" in written
        assert proxy.traffic.refused == {"head_too_large": 1}
        assert origin.connections == 0


async def test_clients_that_do_not_read_hold_little_and_not_for_long(hasty: Proxy, origin: Origin) -> None:
    """CVE-2019-9511, CVE-2019-9517: much is requested, and no window is given for it."""

    async def endless(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n")
        while True:
            writer.write(b"x" * 65536)
            await writer.drain()

    origin.script = endless
    client = await hasty.connect()
    await client.send(hello([(4, 0)]) + each(50, lambda i: headers(i, GET)))
    await until(lambda: origin.connections == 50)
    (connection,) = hasty.downstreams
    most = 0
    while hasty.traffic.in_flight:
        most = max(most, connection.endpoint.pending)
        await asyncio.sleep(0)
    assert most <= 1_048_576 + 262_144 * 2
    await until(lambda: origin.lost == 50)
