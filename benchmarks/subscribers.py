"""What many subscribers cost the embedded registry over gRPC, and how soon a change has reached all of them.

    python -m benchmarks.subscribers                # 1,000 connections, 500 services, 50 subscriptions a connection
    python -m benchmarks.subscribers --each 500     # every connection subscribes to every service: takes its time

A real `gateway registry serve`; its memory and CPU are read from /proc. All connections subscribe to one more service, and the delay
is from the answer to a registration there to the push of it at the first, the median and the last connection.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import tempfile
from pathlib import Path
from time import perf_counter

from aiohttp import ClientSession

from benchmarks.watching import cpu, memory, say
from gateway.cli.output import print_table
from gateway.demo.processes import Processes
from gateway.errors import RegistryError
from gateway.registry.nacos import rpc
from gateway.registry.nacos.messages import JSON
from gateway.release.ports import free_port

AT_ONCE = 50
CHANGES = 20
COMMON = "common"


class Subscriber:
    """One connection. `seen` gets when each push of the common service came, and how many instances that had."""

    def __init__(self, address: str, seen: asyncio.Queue[tuple[float, int]]) -> None:
        self._address = address
        self._seen = seen

    async def open(self, services: list[str]) -> Subscriber:
        pushed = {"NotifySubscriberRequest": self._pushed}
        self.connection = await rpc.Connection.open(self._address, "naming", "", pushed, None)
        for service in services:
            body = {"namespace": "public", "serviceName": service, "groupName": "DEFAULT_GROUP"}
            await self.connection.request("SubscribeServiceRequest", {**body, "subscribe": True, "clusters": ""})
        return self

    def _pushed(self, body: JSON) -> None:
        info = body["serviceInfo"]
        if info["name"] == COMMON:
            self._seen.put_nowait((perf_counter(), len(info["hosts"])))


async def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--connections", type=int, default=1000)
    parser.add_argument("--services", type=int, default=500)
    parser.add_argument("--each", type=int, default=50, help="subscriptions of a connection")
    options = parser.parse_args()
    rpc.CONNECT = rpc.TIMEOUT = 60.0  # type: ignore[misc] # all of them at once, beside their server
    address = f"127.0.0.1:{free_port()}"
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        processes = Processes(Path(folder))
        arguments = ("registry", "serve", "--listen", address, "--warmup", "0")
        server = await processes.start("registry", "-m", "gateway", *arguments)
        try:
            async with ClientSession() as session:

                async def register(service: str, host: str) -> None:
                    form = {"serviceName": service, "ip": host, "port": "80"}
                    form["metadata"] = '{"preserved.heart.beat.timeout": "3600000"}'
                    async with session.post(f"http://{address}/nacos/v1/ns/instance", params=form) as response:
                        assert response.status == 200, await response.text()

                await _wait(session, address)
                names = [f"service-{number}" for number in range(options.services)]
                for number, name in enumerate(names):
                    await register(name, f"10.0.{number // 250}.{number % 250}")
                await register(COMMON, "10.1.0.0")
                sizes = [memory(server)]
                seen: asyncio.Queue[tuple[float, int]] = asyncio.Queue()
                gate = asyncio.Semaphore(AT_ONCE)

                async def subscriber(number: int) -> Subscriber:
                    wanted = [names[(number + step) % len(names)] for step in range(options.each)]
                    async with gate:
                        return await Subscriber(address, seen).open([COMMON, *wanted])

                say(f"{options.connections} connections of {options.each + 1} subscriptions")
                began, before = perf_counter(), cpu(server)
                everybody = await asyncio.gather(*map(subscriber, range(options.connections)))
                took, spent = perf_counter() - began, cpu(server) - before
                sizes.append(memory(server))
                say("pushing")
                rows, before = [], cpu(server)
                for change in range(1, CHANGES + 1):
                    await register(COMMON, f"10.1.0.{change}")
                    began = perf_counter()
                    times: list[float] = []
                    while len(times) < options.connections:
                        if any(one.connection.lost.is_set() for one in everybody):
                            raise RegistryError("unreachable", "a connection was lost")
                        async with asyncio.timeout(60):
                            at, count = await seen.get()
                        if count == change + 1:
                            times.append(at - began)
                    rows.append((min(times), statistics.median(times), max(times)))
                pushing = (cpu(server) - before) / CHANGES / options.connections
                for one in everybody:
                    one.connection.close()
        finally:
            await processes.stop_all()
    first, median, last = (f"{statistics.median(column) * 1000:.0f} ms" for column in zip(*rows, strict=True))
    headings = [
        "subscriptions", "memory", "of it for them", "subscribed in", "CPU of it", "push: first", "median", "last", "CPU a push",
    ]  # fmt: skip
    count = options.connections * (options.each + 1)
    row: list[object] = [
        count, f"{sizes[1]:.0f} MB", f"{sizes[1] - sizes[0]:.0f} MB", f"{took:.0f} s", f"{spent:.0f} s", first, median, last,
        f"{pushing * 1e6:.0f} µs",
    ]  # fmt: skip
    print_table(headings, [row])


async def _wait(session: ClientSession, address: str) -> None:
    async with asyncio.timeout(60):
        while True:
            try:
                async with session.get(f"http://{address}/livez"):
                    return
            except OSError:
                await asyncio.sleep(0.05)


if __name__ == "__main__":
    try:
        asyncio.run(main())
    except RegistryError as error:
        raise SystemExit(f"the registry did not keep up: {error}") from error
