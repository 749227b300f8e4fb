"""Messages between supervisor and worker: whole, in order, and none to one that is gone."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any

import pytest
import uvloop

from gateway.control.channel import Channel


async def pair() -> tuple[Channel, Channel]:
    ours, theirs = socket.socketpair()
    return await Channel.over(ours), await Channel.over(theirs)


async def in_order() -> None:
    ours, theirs = await pair()
    ours.send("configure", 1, {"a": [1, 2]})
    ours.send("service", "x" * 1_000_000)
    assert await theirs.receive() == ("configure", (1, {"a": [1, 2]}))
    assert await theirs.receive() == ("service", ("x" * 1_000_000,))
    ours.close()
    assert await theirs.receive() is None
    theirs.close()


async def to_one_that_is_gone() -> None:
    """It may be replaced in a while: what it is told meanwhile must not end who tells it."""
    ours, theirs = await pair()
    theirs.close()
    assert await ours.receive() is None
    for _ in range(10):
        ours.send("service", "a", [])
        await ours.flush()
    ours.close()
    ours.send("service", "a", [])
    await ours.flush()


# The loop of the program, whose transports are stricter than asyncio's.
@pytest.mark.parametrize("scene", [in_order, to_one_that_is_gone])
def test_messages(scene: Callable[[], Any]) -> None:
    uvloop.run(scene())
