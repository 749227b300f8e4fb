"""A wait has an end, and the time in which this process stood still is not held against whom it waits for."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import uvloop

from gateway.instance import Instance
from gateway.proxy.origin import NotConnected, Origin
from gateway.proxy.origins import Origins
from gateway.proxy.patience import comes_within
from tests.support.wait import until

SOON = 0.02
HELD_UP = 0.1

on_both_loops = pytest.mark.parametrize("run", [asyncio.run, uvloop.run], ids=["asyncio", "uvloop"])
Run = Callable[[Any], Any]


async def test_what_comes_in_time_is_seen_at_once() -> None:
    future: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    waiting = asyncio.ensure_future(comes_within(future, 3600.0))
    await asyncio.sleep(0)
    future.set_result(1)
    assert await waiting


async def test_what_is_there_already_needs_no_time() -> None:
    future: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    future.set_exception(ValueError("no"))
    assert await comes_within(future, 0.0)
    assert isinstance(future.exception(), ValueError)


@pytest.mark.parametrize("seconds", [0.0, SOON])
async def test_what_does_not_come_is_given_up_and_left_as_it_is(seconds: float) -> None:
    future: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    assert not await comes_within(future, seconds)
    assert not future.done()


async def test_a_loop_that_is_always_late_gives_up_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """At most as long again is added: else a process with too much to do would wait for ever."""
    waits: list[float] = []
    loop = asyncio.get_running_loop()
    now = 100.0
    monkeypatch.setattr(loop, "time", lambda: now)

    async def wait(_: object, timeout: float) -> None:
        nonlocal now
        waits.append(round(timeout, 6))
        now += timeout + 0.5

    monkeypatch.setattr("gateway.proxy.patience.asyncio.wait", wait)
    assert not await comes_within(loop.create_future(), 2.0)
    monkeypatch.undo()
    assert waits == [2.0, 0.5, 0.5]


async def scene(steps: int, held_up: Callable[[Origin], Awaitable[Any]]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        origin = Origins(1).of(Instance("127.0.0.1", server.getsockname()[1]), "a")
        asking = asyncio.ensure_future(held_up(origin))
        for _ in range(steps):
            await asyncio.sleep(0)
        time.sleep(HELD_UP)
        await asking


@on_both_loops
@pytest.mark.parametrize("steps", [1, 2, 3])
def test_a_connection_that_was_made_while_this_process_stood_still_is_used(run: Run, steps: int) -> None:
    """The kernel had it long before the timer fired; the loop looks at clocks first."""

    async def acquire(origin: Origin) -> None:
        upstream = await origin.acquire(SOON)
        assert (upstream.transport is not None, origin.open) == (True, 1)
        upstream.close()
        await until(lambda: origin.open == 0)

    run(scene(steps, acquire))


@on_both_loops
def test_one_that_nobody_accepts_is_given_up_all_the_same(run: Run) -> None:
    async def acquire(origin: Origin) -> None:
        origin._loop = Never()  # type: ignore[assignment]
        with pytest.raises(NotConnected) as error:
            await origin.acquire(SOON)
        assert (error.value.fault.kind, origin.open) == ("connect_timeout", 0)

    run(scene(1, acquire))


class Never:
    """A loop that never gets a connection made."""

    async def create_connection(self, *_: Any, **__: Any) -> None:
        await asyncio.get_running_loop().create_future()
