"""Work that runs beside requests for as long as the process lives, whatever it raises."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Final

_log = logging.getLogger("gateway")

FIRST_PAUSE: Final = 0.5
LONGEST_PAUSE: Final = 60.0
"""Seconds between a failure and the next beginning; twice as long each time it fails again soon."""

failures: Final[Counter[str]] = Counter()
"""How often each kind of work has failed in this process."""


def keep_running(what: str, work: Callable[[], Awaitable[None]]) -> asyncio.Task[None]:
    """Starts `work` beside everything else; it ends when it returns or is cancelled.

    An exception is a bug, and must not end what nobody would notice the end of: it is logged, counted under `what`, and
    the work is begun again.
    """
    return asyncio.get_running_loop().create_task(_run(what, work), name=what)


async def _run(what: str, work: Callable[[], Awaitable[None]]) -> None:
    clock = asyncio.get_running_loop().time
    pause = FIRST_PAUSE
    while True:
        began = clock()
        try:
            await work()
            return
        except Exception:  # noqa: BLE001 - whatever it is
            if clock() - began > LONGEST_PAUSE:
                pause = FIRST_PAUSE
            failures[what] += 1
            _log.exception("%s failed unexpectedly; restarting in %g s", what, pause)
        await asyncio.sleep(pause)
        pause = min(2 * pause, LONGEST_PAUSE)
