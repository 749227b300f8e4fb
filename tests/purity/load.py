"""Requests at a steady rate, marked and unmarked in turn, over connections that last for a while."""

from __future__ import annotations

import asyncio
import random
from typing import Final

from tests.purity.application import read_message
from tests.purity.judge import Judge

PER_CONNECTION: Final = 50
"""Requests on one connection: another one may reach another worker."""
MOST: Final = 128
"""Requests at a time. A load that is behind sends fewer."""
TIMEOUT: Final = 20.0
POSTS: Final = 0.1
"""The share of requests that cannot simply be sent again."""

Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter, int]
"""The last: how many requests more it is for."""


class Load:
    """Sends until closed."""

    def __init__(self, port: int, rate: float, judge: Judge, source: random.Random) -> None:
        self._port = port
        self._rate = rate
        self._judge = judge
        self._random = source
        self._idle: list[Connection] = []
        self._under_way: set[asyncio.Task[None]] = set()

    def start(self) -> None:
        self._sending = asyncio.create_task(self._send_steadily())

    async def close(self) -> None:
        self._sending.cancel()
        await asyncio.gather(self._sending, *self._under_way, return_exceptions=True)
        for _, writer, _ in self._idle:
            writer.close()

    async def _send_steadily(self) -> None:
        clock = asyncio.get_running_loop().time
        due = clock()
        while True:
            if len(self._under_way) < MOST:
                task = asyncio.create_task(self._send(self._random.random() < 0.5, self._random.random() < POSTS))
                self._under_way.add(task)
                task.add_done_callback(self._under_way.discard)
            due = max(due + 1 / self._rate, clock() - 0.1)
            await asyncio.sleep(max(0.0, due - clock()))

    async def _send(self, is_marked: bool, is_post: bool) -> None:
        trace = f"{self._random.getrandbits(128):032x}"
        method = "POST" if is_post else "GET"
        sent = self._judge.send(is_marked, trace, method)
        body = b"x" * 2000 if is_post else b""
        request = (
            f"{method} /A/x{'?group=gray' if is_marked else ''} HTTP/1.1\r\nHost: shop\r\n"
            f"traceparent: 00-{trace}-00f067aa0ba902b7-01\r\n"
            + (f"Content-Length: {len(body)}\r\n" if body else "")
            + "\r\n"
        ).encode() + body
        try:
            async with asyncio.timeout(TIMEOUT):
                status, text = await self._exchange(request)
        except (OSError, asyncio.IncompleteReadError) as error:
            status, text = 0, repr(error)
        self._judge.answer(sent, status, text)

    async def _exchange(self, request: bytes) -> tuple[int, str]:
        reader, writer, left = await self._connection()
        is_over = True
        try:
            writer.write(request)
            first, fields, body = await read_message(reader)
            is_over = fields.get(b"connection") == b"close" or left <= 1
        finally:
            if is_over:
                writer.close()
        if not is_over:
            self._idle.append((reader, writer, left - 1))
        return int(first.split()[1]), body.decode(errors="replace")

    async def _connection(self) -> Connection:
        """One that is idle, or a new one. One that was closed while idle is no failure; one that is closed later is."""
        while self._idle:
            connection = self._idle.pop()
            if not connection[0].at_eof():
                return connection
            connection[1].close()
        return *await asyncio.open_connection("127.0.0.1", self._port), PER_CONNECTION
