"""Where work is done that takes long: in one thread, one piece after the other.

Clients who send much wait for one another, and for nobody else; the event loop's own threads look up names for the data plane.
"""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, ParamSpec, TypeVar

from gateway.web.bodies import parse_json
from gateway.web.problems import Rejected

P = ParamSpec("P")
T = TypeVar("T")

QUICK: Final = 16384
"""Bytes of text that are parsed at once; more is work for the thread."""
MOST_WAITING: Final = 16
"""Pieces of work that wait for their turn."""


def _uncollected(work: Callable[[], T]) -> T:
    """What `work` returns, with the garbage collector at rest: it stops every thread, again and again while much is made.

    What is made here has no cycles, and goes with the response.
    """
    gc.disable()
    try:
        return work()
    finally:
        gc.enable()


class Work:
    """A thread of its own, called `name`."""

    def __init__(self, name: str) -> None:
        self._thread = ThreadPoolExecutor(1, name)
        self._waiting = 0

    async def run(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """What `work` returns, or raises. Raises Rejected if too much is waiting already."""
        if self._waiting >= MOST_WAITING:
            raise Rejected(503, "busy", f"{MOST_WAITING} slow requests are already waiting")
        self._waiting += 1
        try:
            return await asyncio.wrap_future(self._thread.submit(_uncollected, lambda: work(*args, **kwargs)))
        finally:
            self._waiting -= 1

    async def parse(self, parse: Callable[[bytes], T], content: bytes) -> T:
        """What is made of a text, at once if it is short."""
        return parse(content) if len(content) <= QUICK else await self.run(parse, content)

    async def json(self, content: bytes) -> Any:
        """See `parse_json`."""
        return await self.parse(parse_json, content)

    def close(self) -> None:
        """Forgets what waits."""
        self._thread.shutdown(wait=False, cancel_futures=True)
