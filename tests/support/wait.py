"""Waiting for conditions instead of sleeping."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")


async def until(condition: Callable[[], object], what: str = "the condition", timeout: float = 30.0) -> None:
    """Waits until `condition()` is true; fails the test after `timeout` seconds."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + timeout
    while not condition():
        assert loop.time() < deadline, f"waited {timeout:g} s for {what}"
        await asyncio.sleep(0.005)


async def until_found(find: Callable[[], Awaitable[T | None]], timeout: float = 30.0) -> T:
    """What `find()` returns as soon as that is not None; fails the test after `timeout` seconds."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + timeout
    while (found := await find()) is None:
        assert loop.time() < deadline, f"waited {timeout:g} s for what {find.__qualname__} looks for"
        await asyncio.sleep(0.02)
    return found
