"""Signals are held until somebody obeys them, and none that is not obeyed ends the process."""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Iterator

import pytest

from gateway.app.signals import OBEYED, hold_signals, obey_signals
from tests.support.wait import until


@pytest.fixture(autouse=True)
def handlers() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in OBEYED}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


async def test_signals_wait_until_they_are_obeyed_and_those_without_an_action_are_ignored() -> None:
    heard: list[str] = []
    hold_signals()
    for number in OBEYED:  # each of them would end this process; another thread may not hold them
        signal.pthread_kill(threading.main_thread().ident or 0, number)
    assert signal.sigpending() == set(OBEYED)
    obey_signals(asyncio.get_running_loop(), {signal.SIGHUP: lambda: heard.append("hangup")})
    await until(lambda: heard)
    for number in OBEYED:
        signal.pthread_kill(threading.main_thread().ident or 0, number)
    await until(lambda: len(heard) == 2)
    assert heard == ["hangup", "hangup"]
    assert signal.sigpending() == set()
