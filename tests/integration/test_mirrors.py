"""A lane that mirrors gets copies of the baseline's requests; the originals never wait for them, and never fail by them."""

from __future__ import annotations

import ast
import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

import gateway
from gateway.live.mirrors import read_response
from gateway.proxy.copies import MAX_BODY, MAX_RESPONSE, MOST
from tests.support.mirroring import mirrored_at
from tests.support.origin import Origin
from tests.support.wait import until

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


@pytest.fixture
async def parts() -> AsyncIterator[AsyncExitStack]:
    async with AsyncExitStack() as opened:
        yield opened


def heads(origin: Origin, name: str) -> list[dict[str, str]]:
    """The fields of the requests that arrived at a port."""
    return [
        {key.decode(): value.decode() for key, value in request.headers}
        for where, request, _ in origin.requests
        if where == name
    ]


async def test_a_copy_is_the_original_marked_and_with_an_id_of_its_own(origin: Origin, parts: AsyncExitStack) -> None:
    """With the original's id, sidecars further on could not tell the one from the other."""
    setup = await mirrored_at(origin, parts)
    client = await setup.proxy.connect()
    ids = f"traceparent: 00-{TRACE}-00f067aa0ba902b7-01\r\nX-Request-Id: {TRACE}\r\nbaggage: a=b"
    await client.send(f"GET /A/x?q=%2F HTTP/1.1\r\nHost: shop\r\n{ids}\r\nX-Own: 1\r\n\r\n".encode())
    assert (await client.answer()).status == 200
    await until(lambda: bool(setup.counted))
    [original], [copy] = heads(origin, "base"), heads(origin, "gray")
    assert {request.target for _, request, _ in origin.requests} == {b"/x?q=%2F"}
    assert (original["traceparent"][3:35], "x-gray-mirror" in original, "x-gray-tag" in original) == (
        TRACE,
        False,
        False,
    )
    sent = [
        (name, value) for where, request, _ in origin.requests for name, value in request.headers if where == "gray"
    ]
    assert [name for name, _ in sent].count(b"traceparent") == 1
    assert not [value for _, value in sent if TRACE.encode() in value]
    digest = setup.proxy.router.snapshot.rules.terms.digest
    assert {name: copy[name] for name in ("host", "x-own", "x-gray-tag", "x-gray-mirror", "baggage", "x-gray-hop")} == {
        "host": "shop",
        "x-own": "1",
        "x-gray-tag": "gray",
        "x-gray-mirror": "1",
        "baggage": "a=b,x-gray-mirror=1,x-gray-tag=gray,x-gray-tag-rules=" + digest,
        "x-gray-hop": "gray",
    }
    assert "x-request-id" not in copy


async def test_marked_requests_and_unsafe_ones_are_not_copied(origin: Origin, parts: AsyncExitStack) -> None:
    setup = await mirrored_at(origin, parts)
    assert await setup.get("/A/x?group=gray") == 200
    client = await setup.proxy.connect()
    await client.send(b"POST /A/x HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\na")
    assert (await client.answer("POST")).status == 200
    assert await setup.get() == 200
    await until(lambda: bool(setup.counted))
    assert [where for where, _, _ in origin.requests] == ["gray", "base", "base", "gray"]
    assert (setup.counted, setup.copies.held) == ({("a", "gray", "same"): 1}, 0)


@pytest.mark.parametrize(
    "framing", ["Content-Length: 5\r\n\r\nhello", "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"]
)
async def test_a_body_is_copied_if_its_method_may_be(origin: Origin, parts: AsyncExitStack, framing: str) -> None:
    setup = await mirrored_at(origin, parts, methods=["POST"])
    client = await setup.proxy.connect()
    await client.send(f"POST /A/x HTTP/1.1\r\nHost: x\r\n{framing}".encode())
    assert (await client.answer("POST")).status == 200
    await until(lambda: bool(setup.counted))
    assert [(where, body) for where, _, body in origin.requests] == [("base", b"hello"), ("gray", b"hello")]


async def test_a_body_that_is_large_is_not_copied(origin: Origin, parts: AsyncExitStack) -> None:
    setup = await mirrored_at(origin, parts, methods=["POST"])
    client = await setup.proxy.connect()
    await client.send(
        b"POST /A/x HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % (MAX_BODY + 1) + b"a" * (MAX_BODY + 1)
    )
    assert (await client.answer("POST")).status == 200
    assert (setup.copies.held, setup.counted) == (0, {})


async def test_differences_are_counted_and_sampled(origin: Origin, parts: AsyncExitStack) -> None:
    """The origin says its port's name in its response."""
    setup = await mirrored_at(origin, parts, compare={"headers": ["content-type"], "body": "bytes"})
    assert await setup.get("/A/x?token=secret") == 200
    await until(lambda: setup.counted == {("a", "gray", "different"): 1})
    [sample] = setup.mirrors.samples
    assert {key: sample[key] for key in ("lane", "service", "tag", "method", "path")} == {
        "lane": "demo/gray",
        "service": "a",
        "tag": "gray",
        "method": "GET",
        "path": "/x",
    }
    assert [difference["what"] for difference in sample["differences"]] == ["body"]


async def test_the_same_is_counted_too(origin: Origin, parts: AsyncExitStack) -> None:
    setup = await mirrored_at(origin, parts)
    assert await setup.get() == 200
    await until(lambda: setup.counted == {("a", "gray", "same"): 1})
    assert list(setup.mirrors.samples) == []


async def test_a_lane_that_hangs_holds_nobody_up_and_what_is_too_much_is_dropped(
    origin: Origin, parts: AsyncExitStack
) -> None:
    setup = await mirrored_at(origin, parts)

    async def hanging(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        while b"x-gray-mirror" not in head.lower():
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
            head = await reader.readuntil(b"\r\n\r\n")
        await reader.read()

    origin.script = hanging
    assert {await setup.get() for _ in range(MOST + 5)} == {200}
    assert (setup.counted, setup.copies.held) == ({("a", "gray", "dropped"): 5}, MOST)
    assert setup.proxy.traffic.exchanges["a"]["base"].statuses == {200: MOST + 5}


@pytest.mark.parametrize(
    ("module", "names"),
    [
        ("copies", {"begin", "take", "end", "done", "count"}),
        ("sending", {"_begin_copy"}),
        ("ending", {"_end_copy"}),
    ],
)
def test_nothing_that_an_exchange_calls_can_wait(module: str, names: set[str]) -> None:
    """By structure: an original cannot be delayed by what is not awaited."""
    tree = ast.parse((Path(gateway.__file__).parent / "proxy" / f"{module}.py").read_text())
    steps = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef) and node.name in names]
    assert {step.name for step in steps} == names
    waits = (ast.Await, ast.AsyncFunctionDef, ast.AsyncFor, ast.AsyncWith)
    assert not [node for step in steps for node in ast.walk(step) if isinstance(node, waits)]


@pytest.mark.parametrize("what", ["gone", "garbage"])
async def test_a_lane_that_is_broken_fails_its_copies_alone(origin: Origin, parts: AsyncExitStack, what: str) -> None:
    setup = await mirrored_at(origin, parts)

    async def broken(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while b"x-gray-mirror" not in (await reader.readuntil(b"\r\n\r\n")).lower():
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        if what == "garbage":
            writer.write(b"\0\r\n\r\n")

    origin.script = broken
    assert await setup.get() == 200
    await until(lambda: setup.counted == {("a", "gray", "failed"): 1})
    assert (setup.copies.held, setup.proxy.traffic.upstream_errors) == (0, {})


async def test_without_a_response_of_the_baseline_there_is_nothing_to_compare(
    origin: Origin, parts: AsyncExitStack
) -> None:
    setup = await mirrored_at(origin, parts)

    async def closing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")

    origin.script = closing
    assert await setup.get() == 502
    assert (setup.counted, setup.copies.held) == ({("a", "gray", "skipped"): 1}, 0)


@pytest.mark.parametrize(
    ("data", "body"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", b"ok"),
        (b"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\n\r\nok", b"ok"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", b"ok"),
        (b"HTTP/1.1 200 OK\r\nContent-Encoding: br\r\n\r\n\x01", None),
        (b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\nno", None),
    ],
)
def test_the_original_response_is_read_without_its_codings(data: bytes, body: bytes | None) -> None:
    answer = read_response(data, False)
    assert answer is not None
    assert (answer.status, answer.body) == (200, body)


def test_what_is_cut_has_a_status_and_no_body() -> None:
    answer = read_response(b"HTTP/1.1 404 Not Found\r\nA: b\r\n\r\n" + b"x" * MAX_RESPONSE, True)
    assert answer is not None
    assert (answer.status, dict(answer.headers), answer.body) == (404, {"a": "b"}, None)
    assert read_response(b"HTTP/1.1 200", False) is None
