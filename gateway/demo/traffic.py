"""The steady background load: marked and unmarked requests throughout, and a check of each response."""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass

from aiohttp import ClientError, ClientSession, ClientTimeout, TCPConnector

RATE = 20.0
"""Requests per second, of each kind."""

_HOP = re.compile(r"([A-Z])(\w*)\[")


@dataclass(slots=True)
class Tally:
    """The results of the load. The last three must stay 0."""

    requests: int = 0
    marked: int = 0
    marked_on_gray: int = 0
    failed: int = 0
    unmarked_on_gray: int = 0
    marked_not_on_gray: int = 0
    first_failure: str = ""

    @property
    def is_clean(self) -> bool:
        """Whether nothing failed."""
        return not (self.failed or self.unmarked_on_gray or self.marked_not_on_gray)


class Load:
    """Sends requests to the entry until closed.

    `expects_gray` is set while the lane is open and the gray instances are up: only then must marked requests be gray. A
    response counts only if that did not change while it was under way.
    """

    def __init__(self, url: str) -> None:
        self.tally = Tally()
        self._url = url
        self._expects_gray = False
        self._epoch = 0
        self._tasks: list[asyncio.Task[None]] = []
        self._under_way: set[asyncio.Task[None]] = set()

    @property
    def expects_gray(self) -> bool:
        """Whether marked requests must reach gray now."""
        return self._expects_gray

    @expects_gray.setter
    def expects_gray(self, value: bool) -> None:
        self._expects_gray = value
        self._epoch += 1

    async def start(self) -> None:
        """Begins to send."""
        self._session = ClientSession(timeout=ClientTimeout(total=10.0), connector=TCPConnector(limit=0))
        self._tasks = [asyncio.create_task(self._send_steadily(marked)) for marked in (True, False)]

    async def close(self) -> None:
        """Stops sending and waits for the responses in flight."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.gather(*self._under_way)
        await self._session.close()

    async def _send_steadily(self, marked: bool) -> None:
        loop = asyncio.get_running_loop()
        due = loop.time()
        while True:
            task = asyncio.create_task(self._send(marked))
            self._under_way.add(task)
            task.add_done_callback(self._under_way.discard)
            due += 1 / RATE
            await asyncio.sleep(max(0.0, due - loop.time()))

    async def _send(self, marked: bool) -> None:
        epoch = self._epoch
        tally = self.tally
        try:
            async with self._session.get(self._url + ("?group=gray" if marked else "")) as response:
                text = await response.text()
                status = response.status
        except (ClientError, TimeoutError) as error:
            status, text = 0, f"{type(error).__name__}: {error}"
        tally.requests += 1
        tally.marked += marked
        if status != 200:
            tally.failed += 1
            tally.first_failure = tally.first_failure or f"{status} {text}"
            return
        hops = dict(_HOP.findall(text))
        if marked:
            on_gray = hops.get("A") == "gray" and hops.get("B") == "" and hops.get("C") == "gray"
            tally.marked_on_gray += on_gray
            if self._expects_gray and epoch == self._epoch and not on_gray:
                tally.marked_not_on_gray += 1
                tally.first_failure = tally.first_failure or f"marked, but not gray: {text}"
        elif any(hops.values()):
            tally.unmarked_on_gray += 1
            tally.first_failure = tally.first_failure or f"unmarked, but gray: {text}"
