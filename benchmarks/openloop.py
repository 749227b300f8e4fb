"""An open-loop client: requests leave by the clock, whether or not earlier ones were answered.

A closed loop (wrk) sends less when the proxy is slow, and so hides its worst moments. Here a latency counts from the time
at which the request was *due* (Gil Tene: coordinated omission). `python -m benchmarks.openloop PORT RATE SECONDS` prints
the latencies' percentiles in microseconds as JSON.
"""

from __future__ import annotations

import asyncio
import json
import sys
from time import perf_counter
from typing import cast

import uvloop

REQUEST = b"GET /A/items?group=gray HTTP/1.1\r\nHost: bench.example\r\n\r\n"
ANSWER_END = b'{"who":"gray"}'
CONNECTIONS = 64


class Client(asyncio.Protocol):
    """One kept-alive connection with at most one request under way."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._due = 0.0
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def send(self, due: float) -> None:
        """Sends a request that was due at this time."""
        self._due = due
        self._transport.write(REQUEST)

    def data_received(self, data: bytes) -> None:
        self._received += data
        if ANSWER_END in self._received:
            self._received = b""
            self._run.answered(self, perf_counter() - self._due)

    def connection_lost(self, exc: Exception | None) -> None:
        self._run.lost()


class Run:
    """One measurement."""

    def __init__(self) -> None:
        self.latencies: list[float] = []
        self.losses = 0
        self._idle: list[Client] = []
        self._overdue: list[float] = []
        self._is_over = False
        self._expected = 0
        self._done = asyncio.Event()

    def answered(self, client: Client, latency: float) -> None:
        """Takes an answer, and sends what has been waiting for a connection."""
        self.latencies.append(latency)
        self._check()
        if self._overdue:
            client.send(self._overdue.pop(0))
        else:
            self._idle.append(client)

    def _check(self) -> None:
        if self._expected and len(self.latencies) >= self._expected:
            self._done.set()

    def lost(self) -> None:
        """Takes that a connection was closed."""
        if not self._is_over:
            self.losses += 1

    async def run(self, port: int, rate: float, seconds: float) -> None:
        """Sends `rate` requests a second."""
        loop = asyncio.get_running_loop()
        for _ in range(CONNECTIONS):
            _, client = await loop.create_connection(lambda: Client(self), "127.0.0.1", port)
            self._idle.append(client)
        begin = perf_counter() + 0.05
        total = int(rate * seconds)
        for number in range(total):
            due = begin + number / rate
            pause = due - perf_counter()
            if pause > 0:
                await asyncio.sleep(pause)
            if self._idle:
                self._idle.pop().send(due)
            else:
                self._overdue.append(due)
        async with asyncio.timeout(10):
            self._expected = total
            self._check()
            await self._done.wait()
        self._is_over = True


async def main(port: int, rate: float, seconds: float) -> None:
    """Measures and prints."""
    run = Run()
    await run.run(port, rate, seconds)
    ordered = sorted(run.latencies)
    percentiles = {
        name: ordered[int(len(ordered) * share)] * 1e6 for name, share in (("p50", 0.5), ("p99", 0.99), ("p999", 0.999))
    }
    print(json.dumps({**percentiles, "max": ordered[-1] * 1e6, "lost": run.losses}))


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1]), float(sys.argv[2]), float(sys.argv[3])))
