"""Mirrors under attack: by clients, by the lane's instances, and by time. Originals, users of the lane and memory do not notice."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import pytest

from gateway.instance import Instance
from gateway.live import mirrors as sending
from gateway.proxy.copies import MAX_RESPONSE, MOST
from tests.support.mirroring import Mirrored, mirrored, mirrored_at
from tests.support.origin import Origin
from tests.support.proxy import Proxy
from tests.support.wait import until

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
Script = Any


@pytest.fixture
async def parts() -> AsyncIterator[AsyncExitStack]:
    async with AsyncExitStack() as opened:
        yield opened


def counted(setup: Mirrored) -> dict[str, int]:
    return {result: count for (_, _, result), count in setup.counted.items()}


def answering(says: bytes, seen: list[bytes] | None = None) -> Script:
    """Originals get OK, copies this."""

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            is_copy = b"x-gray-mirror: 1" in head.lower()
            if seen is not None:
                seen.append(head)
            writer.write(says if is_copy else OK)

    return script


# --- the lane's instances


@pytest.mark.parametrize(
    "surplus",
    [
        OK + b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison",
        b"HTTP/1.1 204 No Content\r\nContent-Length: 6\r\n\r\npoison",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok",
        b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\nHTTP/1.1 200 OK\r\n\r\npoison",
    ],
    ids=["second", "chunked", "204", "lengths", "101"],
)
async def test_what_follows_the_response_to_a_copy_reaches_no_user(
    origin: Origin, parts: AsyncExitStack, surplus: bytes
) -> None:
    """Copies share the connections of marked requests: a connection out of step would give them to somebody else."""
    setup = await mirrored_at(origin, parts)
    origin.script = answering(surplus)
    assert await setup.get() == 200
    await until(lambda: sum(counted(setup).values()) == 1)
    user = await setup.proxy.get("/A/x?group=gray")
    assert (user.status, user.body, origin.connections) == (200, b"ok", 3)


@pytest.mark.parametrize(
    ("says", "result"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9999999\r\n\r\n" + b"x" * (MAX_RESPONSE + 1), "same"),
        (b"HTTP/1.1 500 No\r\nContent-Length: 9999999\r\n\r\n" + b"x" * (MAX_RESPONSE + 1), "different"),
        (b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * (4 * MAX_RESPONSE), "same"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"1\r\nx\r\n" * MAX_RESPONSE, "same"),
        (b"HTTP/1.1 100 Continue\r\n\r\n" * 20_000, "failed"),
        (b"HTTP/1.1 200 OK\r\nX: " + b"x" * (4 * MAX_RESPONSE), "failed"),
    ],
    ids=["long", "other", "endless", "chunks", "interim", "head"],
)
async def test_of_an_endless_response_no_more_is_kept_than_is_compared(
    origin: Origin, parts: AsyncExitStack, says: bytes, result: str
) -> None:
    setup = await mirrored_at(origin, parts)
    origin.script = answering(says)
    assert await setup.get() == 200
    await until(lambda: counted(setup) == {result: 1})
    assert setup.copies.held == 0


async def test_a_sidecars_refusal_is_no_difference(origin: Origin, parts: AsyncExitStack) -> None:
    """It says that this is somebody else, or that the application is away: nothing of the new version."""
    setup = await mirrored_at(origin, parts)
    origin.script = answering(b"HTTP/1.1 421 No\r\nX-Gray-Hop: misdirected\r\nContent-Length: 0\r\n\r\n")
    assert await setup.get() == 200
    await until(lambda: counted(setup) == {"failed": 1})
    assert list(setup.mirrors.samples) == []


async def test_connections_that_the_instance_has_closed_by_now_make_no_copy_fail(
    origin: Origin, parts: AsyncExitStack
) -> None:
    """One that is safe is sent once more, and once only."""
    setup = await mirrored_at(origin, parts)
    copies = 0

    async def one_each(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal copies
        for number in range(2):
            head = await reader.readuntil(b"\r\n\r\n")
            if b"x-gray-mirror" in head.lower():
                copies += 1
                if number:
                    return
            writer.write(OK)

    origin.script = one_each
    for number in (1, 2):
        assert await setup.get() == 200
        await until(lambda number=number: counted(setup) == {"same": number})  # type: ignore[misc]
    assert copies == 3


async def test_a_lane_that_fails_is_ejected_by_nobodys_copies(origin: Origin, parts: AsyncExitStack) -> None:
    """Nor is it counted as traffic: a guard that looks at it sees its users alone."""
    judged: list[Any] = []

    class Judge:
        records: dict[Any, Any] = {"always": True}

        def failed(self, *what: Any) -> None:
            judged.append(what)

        def succeeded(self, service: str, instance: Instance) -> None:
            judged.append(instance.tag)

        refused = failed

    proxy = Proxy()
    proxy.ejector = Judge()  # type: ignore[assignment]
    setup = await mirrored_at(origin, parts, proxy)
    origin.script = answering(b"HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n")
    for _ in range(3):
        assert await setup.get() == 200
    await until(lambda: counted(setup) == {"different": 3})
    assert (set(judged), len(judged)) == ({"base"}, 3)
    traffic = proxy.traffic
    assert list(traffic.exchanges["a"]) == ["base"]
    assert (traffic.started, traffic.in_flight, proxy.context.lanes, traffic.upstream_errors) == (3, 0, {}, {})


async def test_a_lane_that_hangs_keeps_half_of_its_connections_for_its_users(
    origin: Origin, parts: AsyncExitStack
) -> None:
    proxy = Proxy()
    proxy.connections_per_origin = 4
    setup = await mirrored_at(origin, parts, proxy)

    async def hanging(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while b"x-gray-mirror" not in (await reader.readuntil(b"\r\n\r\n")).lower():
            writer.write(OK)
        await reader.read()

    origin.script = hanging
    for _ in range(6):
        assert await setup.get() == 200
    await until(lambda: counted(setup).get("dropped", 0) == 4)
    assert setup.copies.held == 2
    users = await asyncio.gather(*[setup.get("/A/x?group=gray") for _ in range(6)])
    assert users == [200] * 6


async def test_an_instance_that_cannot_be_reached_is_not_tried_for_every_copy(
    origin: Origin, parts: AsyncExitStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To connect in vain costs more than to send: at a thousand requests a second it is the originals that pay."""
    monkeypatch.setattr(sending, "AWAY", 3600.0)
    base = Instance("127.0.0.1", origin.ports["base"])
    setup = await parts.enter_async_context(mirrored(base, Instance("127.0.0.1", 1, tag="gray")))
    for _ in range(3):
        assert await setup.get() == 200
        await until(lambda: setup.copies.held == 0)
    assert counted(setup) == {"failed": 1, "dropped": 2}
    setup.mirrors._away.clear()  # the time is over
    assert await setup.get() == 200
    await until(lambda: counted(setup) == {"failed": 2, "dropped": 2})


# --- clients


async def test_a_body_is_framed_anew(origin: Origin, parts: AsyncExitStack) -> None:
    """Whatever could be read in two ways in the original's framing, nothing of it is in a copy's."""
    setup = await mirrored_at(origin, parts, methods=["POST"])
    client = await setup.proxy.connect()
    await client.send(
        b"POST /A/x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nTrailer: x-gray-tag\r\n\r\n"
        b'0005;a="\\""\r\nhello\r\n1\r\n!\r\n000\r\nx-gray-tag: blue\r\n\r\n'
    )
    assert (await client.answer("POST")).status == 200
    await until(lambda: counted(setup) == {"same": 1})
    [base, gray] = origin.requests
    assert (base[2], gray[2], origin.illegal) == (b"hello!", b"hello!", 0)
    fields = [(name, value) for name, value in gray[1].headers if name in (b"content-length", b"transfer-encoding")]
    assert fields == [(b"content-length", b"6")]


@pytest.mark.parametrize("field", ["X-HTTP-Method-Override: DELETE", "x-http-method: PUT", "X-Method-Override: PATCH"])
async def test_a_get_that_is_another_method_is_not_copied(origin: Origin, parts: AsyncExitStack, field: str) -> None:
    setup = await mirrored_at(origin, parts)
    assert await setup.get("/A/x", field) == 200
    assert (setup.counted, setup.copies.held, len(origin.requests)) == ({}, 0, 1)


async def test_what_a_client_does_not_wait_for_is_not_copied(origin: Origin, parts: AsyncExitStack) -> None:
    setup = await mirrored_at(origin, parts)
    asked = asyncio.Event()

    async def hanging(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        asked.set()
        await reader.read()

    origin.script = hanging
    client = await setup.proxy.connect()
    await client.send(b"GET /A/x HTTP/1.1\r\nHost: x\r\n\r\n")
    await asked.wait()
    client.close()
    await until(lambda: counted(setup) == {"skipped": 1})
    assert (setup.copies.held, origin.connections) == (0, 1)


async def test_a_response_before_the_whole_body_leaves_nothing_to_copy(origin: Origin, parts: AsyncExitStack) -> None:
    setup = await mirrored_at(origin, parts, methods=["POST"])

    async def early(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 413 No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        await reader.read()

    origin.script = early
    client = await setup.proxy.connect()
    await client.send(b"POST /A/x HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nab")
    assert (await client.answer("POST")).status == 413
    await until(lambda: counted(setup) == {"skipped": 1})


async def test_a_request_that_was_tried_twice_is_copied_once_and_compared_with_what_the_client_got(
    origin: Origin, parts: AsyncExitStack
) -> None:
    base = [Instance("127.0.0.1", 1), Instance("127.0.0.1", origin.ports["base"])]
    gray = Instance("127.0.0.1", origin.ports["gray"], tag="gray")
    proxy = Proxy()
    setup = await parts.enter_async_context(mirrored(base[1], gray, proxy, compare={"status": True}))
    for dead_first in (True, False):
        instances = [*(base if dead_first else reversed(base)), gray]
        proxy.router.snapshot = proxy.snapshot(instances)
        assert await setup.get() == 200
    await until(lambda: counted(setup) == {"same": 2})
    assert [where for where, _, _ in origin.requests].count("gray") == 2
    assert proxy.traffic.upstream_errors == {("a", "base", "connect_error"): 1}


async def test_secrets_are_in_no_sample(origin: Origin, parts: AsyncExitStack) -> None:
    setup = await mirrored_at(origin, parts, compare={"headers": ["location"], "body": "json"})
    says = b'{"name": "s3cret"}'
    origin.script = answering(
        b"HTTP/1.1 302 Found\r\nLocation: /cb?token=s3cret&a=1\r\nSet-Cookie: id=s3cret\r\nContent-Length: %d\r\n\r\n%b"
        % (len(says), says)
    )
    fields = ("Authorization: Bearer s3cret", "Cookie: id=s3cret", "X-Key: s3cret")
    assert await setup.get("/A/x;token=s3cret?q=s3cret", *fields) == 200
    await until(lambda: counted(setup) == {"different": 1})
    [sample] = setup.mirrors.samples
    assert "s3cret" not in str(sample)
    assert {found["what"]: found["lane"] for found in sample["differences"]}["location"] == "/cb?token=***&a=1"


# --- time


async def test_a_copy_goes_by_what_is_true_when_it_is_sent(origin: Origin, parts: AsyncExitStack) -> None:
    """The lane may have been closed because it hurts, and its address may be somebody else's."""
    setup = await mirrored_at(origin, parts)
    proxy = setup.proxy
    released = asyncio.Event()

    async def slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        await released.wait()
        writer.write(OK)

    origin.script = slow
    for change in ("instance", "lane"):
        released.clear()
        request = asyncio.create_task(setup.get())
        await until(lambda: setup.copies.held == 1)
        base = Instance("127.0.0.1", origin.ports["base"])
        if change == "lane":
            proxy.group = {**proxy.group, "lanes": [{**proxy.group["lanes"][0], "mirror": None}]}
            gone = [base, Instance("127.0.0.1", origin.ports["gray"], tag="gray")]
        else:
            gone = [base]
        kept, proxy.router.snapshot = proxy.router.snapshot, proxy.snapshot(gone)
        released.set()
        assert await request == 200
        await until(lambda: setup.copies.held == 0)
        proxy.router.snapshot = kept
    assert (counted(setup), origin.connections) == ({"skipped": 2}, 2)


async def test_copies_that_have_waited_too_long_are_dropped(
    origin: Origin, parts: AsyncExitStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sending, "ANSWER", 0.2)
    setup = await mirrored_at(origin, parts)

    async def hanging(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while b"x-gray-mirror" not in (await reader.readuntil(b"\r\n\r\n")).lower():
            writer.write(OK)
        await reader.read()

    origin.script = hanging
    assert {await setup.get() for _ in range(MOST)} == {200}
    await until(lambda: setup.copies.held == 0)
    found = counted(setup)
    assert found["failed"] >= sending.SENDERS
    assert found["dropped"] + found["failed"] == MOST
    assert found["dropped"] > 0


async def test_comparing_takes_a_share_of_the_time_and_no_more(
    origin: Origin, parts: AsyncExitStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While it goes on, the interpreter is not the originals'."""
    clock = 0.0
    slept: list[float] = []

    class Clock:
        @staticmethod
        def monotonic() -> float:
            return clock

        @staticmethod
        def sleep(seconds: float) -> None:
            nonlocal clock
            slept.append(seconds)
            clock += seconds

        time = staticmethod(lambda: 1.0)

    def comparing(*_: object) -> list[Any]:
        nonlocal clock
        clock += 2.0
        return []

    setup = await mirrored_at(origin, parts)
    monkeypatch.setattr(sending, "time", Clock)
    monkeypatch.setattr(sending, "_compared", comparing)
    for _ in range(3):
        assert await setup.get() == 200
        await until(lambda: setup.copies.held == 0)
    assert slept == [2.0 * sending.REST] * 2
