"""The one lifecycle: parts are closed in turn, whether a start fails, is interrupted, or is followed by a stop."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from gateway.app.running import run
from gateway.app.signals import OBEYED
from gateway.app.sockets import Sockets
from gateway.app.takeover import State
from gateway.errors import StartError
from tests.support.wait import until

Step = Callable[[], Awaitable[None]]


async def nothing() -> None:
    """A step that is done at once."""


class Script:
    """A program of two parts. `on_start` and `on_close` are done after the parts are opened, and first of all at the end."""

    def __init__(self, on_start: Step = nothing, on_close: Step = nothing) -> None:
        self.log: list[str] = []
        self._on_start = on_start
        self._on_close = on_close

    async def start(self, parts: AsyncExitStack, sockets: Sockets) -> None:
        for name in ("first", "second"):
            self.log.append(f"open {name}")
            parts.callback(self.log.append, f"close {name}")
        parts.push_async_callback(self._on_close)
        await self._on_start()
        self.log.append("serving")

    def state(self) -> State:
        return {}

    async def hand_over(self) -> State:
        return {}

    async def reload(self) -> None:
        self.log.append("reload")

    def reopen_logs(self) -> None:
        self.log.append("reopen")


@pytest.fixture(autouse=True)
def handlers() -> Iterator[None]:
    """A program leaves its handlers: its process ends."""
    before = {number: signal.getsignal(number) for number in OBEYED}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


OPENED, CLOSED = ["open first", "open second"], ["close second", "close first"]


def send(number: signal.Signals) -> None:
    os.kill(os.getpid(), number)


async def serving(program: Script) -> asyncio.Task[None]:
    running = asyncio.create_task(run(program, Sockets()))
    await until(lambda: "serving" in program.log)
    return running


async def test_a_stop_closes_the_parts_the_last_one_first() -> None:
    program = Script()
    running = await serving(program)
    assert program.log == [*OPENED, "serving"]
    send(signal.SIGTERM)
    await running
    assert program.log == [*OPENED, "serving", *CLOSED]


async def test_a_start_that_fails_closes_what_it_has_opened_and_says_why() -> None:
    async def fail() -> None:
        raise StartError("the port is taken")

    program = Script(fail)
    with pytest.raises(StartError, match="the port is taken"):
        await run(program, Sockets())
    assert program.log == [*OPENED, *CLOSED]


async def test_a_start_that_is_told_to_end_closes_what_it_has_opened() -> None:
    program = Script(lambda: asyncio.sleep(3600))
    running = asyncio.create_task(run(program, Sockets()))
    await until(lambda: program.log == OPENED)
    send(signal.SIGINT)
    await running
    assert program.log == [*OPENED, *CLOSED]


async def test_a_second_signal_cuts_off_a_part_that_takes_long_and_closes_the_others() -> None:
    program = Script(on_close=lambda: asyncio.sleep(3600))
    running = await serving(program)
    send(signal.SIGTERM)
    await asyncio.sleep(0)
    send(signal.SIGTERM)
    async with asyncio.timeout(30):
        await running
    assert program.log == [*OPENED, "serving", *CLOSED]


async def test_a_part_that_cannot_be_closed_does_not_keep_the_others_open() -> None:
    async def fail() -> None:
        raise OSError("a bug")

    program = Script(on_close=fail)
    running = await serving(program)
    send(signal.SIGTERM)
    with pytest.raises(OSError, match="a bug"):
        await running
    assert program.log == [*OPENED, "serving", *CLOSED]


async def test_what_signals_ask_for() -> None:
    program = Script()
    running = await serving(program)
    send(signal.SIGHUP)
    send(signal.SIGUSR1)
    send(signal.SIGUSR2)
    await until(lambda: set(program.log) >= {"reload", "reopen"})
    assert not running.done()
    send(signal.SIGTERM)
    await running


async def test_a_place_that_cannot_be_offered_fails_the_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def offer(*_: object) -> None:
        raise StartError("cannot offer")

    monkeypatch.setattr(Sockets, "offer", offer)
    program = Script()
    with pytest.raises(StartError, match="cannot offer"):
        await run(program, Sockets(tmp_path / "takeover"))
    assert program.log == [*OPENED, "serving", *CLOSED]
