"""Waiting for no longer than so many seconds of this process's own life.

An event loop looks at clocks before sockets. After a process was held up (by a machine with too much to do, by a thread that
does not let go of the interpreter, by a pause of the whole machine), what it waited for may lie in the kernel already, and yet
every timer says that it is too late. Time in which the loop stood still is nobody's fault but its own, so it does not count.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final

GRAIN: Final = 0.02
"""Seconds by which a timer may be late without anybody having been held up."""


async def comes_within(future: asyncio.Future[Any], seconds: float) -> bool:
    """Whether a future is done within so many seconds; at most as many again make up for those that this process stood still.

    It is not cancelled, and what it raised is not looked at.
    """
    clock = asyncio.get_running_loop().time
    due = clock() + seconds
    last = due + seconds
    while True:
        await asyncio.wait((future,), timeout=max(0.0, due - clock()))
        now = clock()
        late = now - due
        if future.done() or late < GRAIN or due >= last:
            return future.done()
        # Behind this timer come the sockets, and what they have to say takes a few turns.
        due = max(min(now + late, last), now + GRAIN)
