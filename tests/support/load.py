"""Clients that ask all the time, and notice when something is lost."""

from __future__ import annotations

import asyncio

from tests.support.wait import until

IDLE = 0.5
"""Seconds: half of what a draining listener gives a connection."""


class Load:
    """Clients on kept connections, one request after the other; each connects again when it was told to close.

    Every answer is to be `expected`; `host` is who is asked for it.
    """

    def __init__(self, port: int, target: bytes, expected: bytes, host: bytes = b"x", clients: int = 8) -> None:
        self.answered = 0
        self.lost = 0
        self.refused = 0
        self.wrong = 0
        self._port = port
        self._request = b"GET %b HTTP/1.1\r\nHost: %b\r\n\r\n" % (target, host)
        self._expected = expected
        self._tasks = [asyncio.create_task(self._run()) for _ in range(clients)]

    async def _run(self) -> None:
        clock = asyncio.get_running_loop().time
        while True:
            try:
                reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
            except ConnectionError:
                self.refused += 1
                return
            asked_at = clock()
            try:
                # A connection that lay idle for long may be closed just when it is used, as any client has to expect: one
                # that is held up here, and not by whom it asks, makes a new one.
                while clock() - asked_at < IDLE:
                    asked_at = clock()
                    writer.write(self._request)
                    head = await reader.readuntil(b"\r\n\r\n")
                    body = await reader.readexactly(int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0]))
                    self.answered += 1
                    self.wrong += body != self._expected
                    if b"connection: close" in head.lower():
                        break
            except (ConnectionError, asyncio.IncompleteReadError):
                self.lost += 1
            finally:
                writer.close()

    async def more(self, count: int = 200) -> None:
        """Waits for so many further answers."""
        goal = self.answered + count
        await until(lambda: self.answered >= goal, f"{count} more answers")

    async def end(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def finish(self) -> None:
        """Waits until every client was refused."""
        async with asyncio.timeout(60):
            await asyncio.gather(*self._tasks)
