"""Expectations, pipelines, answers that come early, and messages that are too large."""

from __future__ import annotations

import pytest

from tests.support.hostile import (
    GET,
    NEXT,
    OK,
    POST,
    answering,
    assert_forwarded,
    assert_refused,
    both_ways,
    connect,
    deliver,
    ended,
    theirs,
)
from tests.support.origin import Origin
from tests.support.proxy import Proxy
from tests.support.wait import until

EXPECTING = POST + b"Content-Length: 5\r\nExpect: 100-continue\r\n\r\n"
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
MEGABYTE = 1024 * 1024


# --- row 62: Expect


@both_ways
@pytest.mark.parametrize(
    "value",
    [
        pytest.param(b"200-ok", id="row 62: unknown expectation"),
        pytest.param(b"100-continue, 200-ok", id="row 62: one of two is unknown"),
        pytest.param(b"100-continue-please", id="row 62: almost 100-continue"),
    ],
)
async def test_an_unknown_expectation_is_refused(proxy: Proxy, origin: Origin, value: bytes, piece: int) -> None:
    """At once: the client waits for this answer before it sends the body."""
    data = POST + b"Content-Length: 5\r\nExpect: " + value + b"\r\n\r\n"
    await assert_refused(proxy, origin, data, 417, piece)


@both_ways
async def test_row_62_continue_is_said_once(proxy: Proxy, origin: Origin, piece: int) -> None:
    client = await connect(proxy)
    await deliver(client, EXPECTING, piece)
    assert await client.reader.readexactly(len(CONTINUE)) == CONTINUE
    await deliver(client, b"hello", piece)
    assert (await client.answer()).status == 200
    assert theirs(origin.received[0]) == ([b"POST /x HTTP/1.1", b"Host: x", b"Content-Length: 5"], b"hello")
    assert await client.is_open()
    assert origin.illegal == 0


async def test_row_62_an_upstreams_continue_is_not_a_second_one(proxy: Proxy, origin: Origin) -> None:
    origin.script = answering(CONTINUE, OK)
    client = await proxy.connect()
    await client.send(EXPECTING)
    assert await client.reader.readexactly(len(CONTINUE)) == CONTINUE
    await client.send(b"hello")
    assert (await client.answer()).status == 200


async def test_row_62_no_body_is_waited_for_behind_a_refusal(proxy: Proxy, origin: Origin) -> None:
    client = await proxy.connect()
    await client.send(b"POST /none HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n")
    answer = await client.answer()
    assert (answer.status, answer.header("connection")) == (404, "close")
    await ended(client)
    assert origin.connections == 0


# --- rows 63 and 64: what follows what


@both_ways
async def test_row_63_the_body_of_a_get_is_framed(proxy: Proxy, origin: Origin, piece: int) -> None:
    data = GET + b"Content-Length: %d\r\n\r\n" % len(NEXT) + NEXT
    lines = [b"GET /x HTTP/1.1", b"Host: x", b"Content-Length: %d" % len(NEXT)]
    await assert_forwarded(proxy, origin, data, lines, NEXT, piece)
    assert [request.target for _, request, _ in origin.requests] == [b"/x", b"/still-open"]


@both_ways
async def test_row_63_a_pipeline_is_answered_in_order(proxy: Proxy, origin: Origin, piece: int) -> None:
    pipeline = (
        b"POST /A/1 HTTP/1.1\r\nHost: x\r\nContent-Length: 04\r\n\r\nbody"
        b"GET /A/2?group=gray HTTP/1.1\r\nHost: x\r\n\r\n"
        b"GET /none HTTP/1.1\r\nHost: x\r\n\r\n"
        b"GET /A/3 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    )
    client = await connect(proxy)
    await deliver(client, pipeline + NEXT, piece)
    answers = [await client.answer() for _ in range(4)]
    assert [answer.status for answer in answers] == [200, 200, 404, 200]
    assert [answers[number].body for number in (0, 1, 3)] == [
        b"base POST /1",
        b"gray GET /2?group=gray",
        b"base GET /3",
    ]
    assert answers[3].header("connection") == "close"
    await ended(client)
    assert [body for _, _, body in origin.requests] == [b"body", b"", b""]
    assert origin.illegal == 0


async def test_row_64_an_early_answer_is_passed_on_at_once(proxy: Proxy, origin: Origin) -> None:
    origin.script = answering(b"HTTP/1.1 413 Too Large\r\nContent-Length: 3\r\n\r\nbig", closes=False)
    client = await proxy.connect()
    await client.send(POST + b"Content-Length: %d\r\n\r\n" % MEGABYTE + b"a" * 1000)
    answer = await client.answer()
    assert (answer.status, answer.header("connection"), answer.body) == (413, "close", b"big")
    await ended(client)
    # The rest is read for a while, so that no reset destroys the answer, and is taken for nothing.
    await client.send(b"a" * (MEGABYTE - 1000) + NEXT)
    await until(lambda: origin.lost == 1, "the upstream connection not to be used again")
    assert origin.connections == 1
    assert proxy.traffic.exchanges["a"]["base"].statuses == {413: 1}


# --- rows 65 and 66: limits


def long_target(size: int) -> bytes:
    return b"GET /A/" + b"a" * (size - 3) + b" HTTP/1.1\r\nHost: x\r\n\r\n"


in_pieces = pytest.mark.parametrize("piece", [pytest.param(0, id="whole"), pytest.param(1000, id="in pieces")])


@in_pieces
@pytest.mark.parametrize(
    ("data", "status"),
    [
        *[
            pytest.param(GET + b"X: a\r\n" * (count - 1) + b"\r\n", 431, id=f"row 65: {count} fields")
            for count in (101, 200, 2000)
        ],
        pytest.param(GET + b"X: " + b"a" * 65536 + b"\r\n\r\n", 431, id="row 66: field of 64 KiB"),
        pytest.param(GET + b"X: " + b"a" * 1_200_000 + b"\r\n\r\n", 431, id="row 66: field of 1.2 MB"),
        pytest.param(GET + b"X: " + b"a" * 1_200_000, 431, id="row 66: field without an end"),
        pytest.param(long_target(16385), 414, id="row 66: target of 16 KiB and a byte"),
        pytest.param(long_target(70000), 414, id="row 66: target of 70 KB"),
        pytest.param(b"M" * 70000, 501, id="row 66: method of 70 KB without an end"),
        pytest.param(b"M" * 70000 + b" /A/x HTTP/1.1\r\nHost: x\r\n\r\n", 501, id="row 66: method of 70 KB"),
        pytest.param(GET + b"Connection: " + b"a," * 30000 + b"\r\n\r\n", 431, id="row 65: 30,000 connection options"),
    ],
)
async def test_one_more_than_the_limit(proxy: Proxy, origin: Origin, data: bytes, status: int, piece: int) -> None:
    await assert_refused(proxy, origin, data, status, piece)


@in_pieces
@pytest.mark.parametrize(
    ("data", "lines"),
    [
        pytest.param(
            GET + b"X: a\r\n" * 99 + b"\r\n",
            [b"GET /x HTTP/1.1", b"Host: x", *[b"X: a"] * 99],
            id="row 65: 100 fields",
        ),
        pytest.param(
            long_target(16384), [b"GET /" + b"a" * 16381 + b" HTTP/1.1", b"Host: x"], id="row 66: target of 16 KiB"
        ),
        pytest.param(
            GET + b"X: " + b"a" * (65536 - len(GET) - 7) + b"\r\n\r\n",
            [b"GET /x HTTP/1.1", b"Host: x", b"X: " + b"a" * (65536 - len(GET) - 7)],
            id="row 66: head of 64 KiB",
        ),
    ],
)
async def test_exactly_the_limit(proxy: Proxy, origin: Origin, data: bytes, lines: list[bytes], piece: int) -> None:
    await assert_forwarded(proxy, origin, data, lines, piece=piece)
