"""Work that many want done at the same time, and that is done once for all of them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class SingleFlight(Generic[T]):
    """Who comes while it is under way gets the same result, or the same failure."""

    def __init__(self) -> None:
        self._task: asyncio.Task[T] | None = None

    @property
    def is_running(self) -> bool:
        """Whether it is under way."""
        return self._task is not None

    async def run(self, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Does the work, or joins those who wait for it. Raises what it raises."""
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(work())
            self._task.add_done_callback(self._ended)
        # A caller that gives up leaves the work to the others.
        return await asyncio.shield(self._task)

    def _ended(self, task: asyncio.Task[T]) -> None:
        self._task = None
        if not task.cancelled():
            task.exception()  # all who waited may have given up
