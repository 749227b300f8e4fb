"""Requests at a steady rate, marked and unmarked in turn, over connections that last for a while."""

from __future__ import annotations

import asyncio
import random
from typing import Final

from tests.purity.judge import Judge, Sent
from tests.purity.messages import Answer, Caller, Callers

PER_CONNECTION: Final = 50
"""Requests on one connection: another one may reach another worker."""
MOST: Final = 128
"""Requests at a time. A load that is behind sends fewer."""
TIMEOUT: Final = 20.0
POSTS: Final = 0.1
"""The share of requests that cannot simply be sent again."""


class Load:
    """Sends until closed."""

    def __init__(self, port: int, rate: float, judge: Judge, source: random.Random) -> None:
        self._rate = rate
        self._judge = judge
        self._random = source
        self._callers = Callers(port, PER_CONNECTION)
        self._connecting: set[asyncio.Task[None]] = set()
        self._under_way = 0

    def start(self) -> None:
        self._sending = asyncio.create_task(self._send_steadily())

    async def close(self) -> None:
        self._sending.cancel()
        await asyncio.gather(self._sending, *self._connecting, return_exceptions=True)
        while self._under_way:
            await asyncio.sleep(0.05)
        self._callers.close()

    async def _send_steadily(self) -> None:
        clock = asyncio.get_running_loop().time
        due = clock()
        while True:
            if self._under_way < MOST:
                self._send(self._random.random() < 0.5, self._random.random() < POSTS)
            due = max(due + 1 / self._rate, clock() - 0.1)
            await asyncio.sleep(max(0.0, due - clock()))

    def _send(self, is_marked: bool, is_post: bool) -> None:
        self._under_way += 1
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
        # One that was closed while idle is no failure; one that is closed later is.
        caller = self._callers.take()
        if caller is not None:
            self._ask(caller, request, sent)
            return
        task = asyncio.create_task(self._connect_and_ask(request, sent))
        self._connecting.add(task)
        task.add_done_callback(self._connecting.discard)

    async def _connect_and_ask(self, request: bytes, sent: Sent) -> None:
        try:
            async with asyncio.timeout(TIMEOUT):
                caller = await self._callers.make()
        except OSError as error:
            self._over(sent, 0, repr(error))
        else:
            self._ask(caller, request, sent)

    def _ask(self, caller: Caller, request: bytes, sent: Sent) -> None:
        def answered(answer: Answer | None) -> None:
            timer.cancel()
            if answer is None:
                self._over(sent, 0, f"the connection was closed, or nothing came in {TIMEOUT:g} s")
                return
            if answer.is_kept:
                self._callers.put(caller)
            self._over(sent, answer.status, answer.body.decode(errors="replace"))

        timer = asyncio.get_running_loop().call_later(TIMEOUT, caller.transport.abort)
        caller.ask(request, answered)

    def _over(self, sent: Sent, status: int, text: str) -> None:
        self._under_way -= 1
        self._judge.answer(sent, status, text)
