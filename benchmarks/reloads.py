"""A thousand reloads under load: `python -m benchmarks.reloads`.

A real gateway with two origins; connections that ask one marked and one unmarked request after the other, all the time; and
the rules changed through the admin API, one change after the other, other lanes than the one that is asked for. Every answer
must come from the right pool. Memory is looked at all along.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import yaml
from aiohttp import ClientSession

from gateway.cli.output import print_table
from gateway.release.ports import free_port

CONNECTIONS = 16
LANES = 100
"""Lanes beside the one that is asked for."""


async def _origin(name: str) -> asyncio.Server:
    answer = f"HTTP/1.1 200 OK\r\nContent-Length: {len(name)}\r\n\r\n{name}".encode()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                await reader.readuntil(b"\r\n\r\n")
                writer.write(answer)
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    return await asyncio.start_server(serve, "127.0.0.1", 0)


@asynccontextmanager
async def _gateway(folder: Path, workers: int) -> AsyncIterator[tuple[int, int, int]]:
    """A running gateway: its port, its admin port and its process id."""
    origins = {name: await _origin(name) for name in ("base", "gray")}
    port, admin = free_port(), free_port()
    instances = [
        {"address": f"127.0.0.1:{server.sockets[0].getsockname()[1]}", "tag": name} for name, server in origins.items()
    ]
    config = {
        "listen": f"127.0.0.1:{port}",
        "admin": f"127.0.0.1:{admin}",
        "workers": workers,
        "registry": {"kind": "static", "services": {"a": instances}},
        "routes": [{"path": "/", "service": "a"}],
        "rules": "rules.yaml",
    }
    lanes = [{"name": "gray", "tag": "gray", "match": [{"param": "group", "equals": "gray"}]}]
    lanes += [{"name": f"l{n}", "tag": "blue", "match": [{"param": "group", "equals": f"g{n}"}]} for n in range(LANES)]
    (folder / "rules.yaml").write_text(yaml.safe_dump({"lane_groups": [{"name": "g", "lanes": lanes}]}))
    (folder / "gateway.yaml").write_text(yaml.safe_dump(config))
    with (folder / "log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "gateway", "serve", "-c", str(folder / "gateway.yaml"), stderr=log, stdout=log
        )
    try:
        async with ClientSession() as session:
            while True:
                try:
                    async with session.get(f"http://127.0.0.1:{admin}/readyz") as response:
                        if response.status == 200:
                            break
                except OSError:
                    pass
                await asyncio.sleep(0.05)
        yield port, admin, process.pid
    finally:
        process.terminate()
        await process.wait()
        for server in origins.values():
            server.close()


async def _ask(port: int, counts: Counter[str], stop: asyncio.Event) -> None:
    """Asks until told to stop; every answer is judged."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        while not stop.is_set():
            for target, expected in (("/?group=gray", b"gray"), ("/?group=other", b"base")):
                writer.write(f"GET {target} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
                head = await reader.readuntil(b"\r\n\r\n")
                body = await reader.readexactly(4)
                counts["requests"] += 1
                if not head.startswith(b"HTTP/1.1 200"):
                    counts["failed"] += 1
                elif body != expected:
                    counts["misrouted"] += 1
    except (asyncio.IncompleteReadError, ConnectionError):
        counts["failed"] += 1
    finally:
        writer.close()


def _resident(pid: int) -> float:
    """Mebibytes of a process and its children."""
    total = 0
    pids = [pid]
    while pids:
        one = pids.pop()
        try:
            status = Path(f"/proc/{one}/status").read_text()
            children = Path(f"/proc/{one}/task/{one}/children").read_text()
        except OSError:
            continue
        total += int(status.partition("VmRSS:")[2].split()[0])
        pids += [int(child) for child in children.split()]
    return total / 1024


async def run(reloads: int, workers: int) -> dict[str, Any]:
    """What came of so many reloads."""
    counts: Counter[str] = Counter()
    memory: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        async with _gateway(Path(folder), workers) as (port, admin, pid), ClientSession() as session:
            stop = asyncio.Event()
            asking = [asyncio.create_task(_ask(port, counts, stop)) for _ in range(CONNECTIONS)]
            started = time.perf_counter()
            revision = 1
            for number in range(reloads):
                lane = f"http://127.0.0.1:{admin}/api/v1/groups/g/lanes/l{number % LANES}"
                async with session.patch(lane, json={"owner": f"o{number}", "enabled": number % 3 != 0}) as response:
                    body = json.loads(await response.read())
                    assert response.status == 200, body
                    assert body["revision"] == revision + 1, "a change was not a revision of its own"
                    revision = body["revision"]
                if number % max(1, reloads // 10) == 0:
                    memory.append(round(_resident(pid), 1))
            seconds = time.perf_counter() - started
            stop.set()
            await asyncio.gather(*asking)
            memory.append(round(_resident(pid), 1))
    return {
        "reloads": reloads,
        "workers": workers,
        "seconds": round(seconds, 1),
        "requests": counts["requests"],
        "failed": counts["failed"],
        "misrouted": counts["misrouted"],
        "memory_mib": memory,
    }


def main() -> None:
    """Prints the result; exit code 1 where a request failed or went astray."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--reloads", type=int, default=1000)
    parser.add_argument("--workers", type=int, default=1)
    arguments = parser.parse_args()
    result = asyncio.run(run(arguments.reloads, arguments.workers))
    print_table(["", ""], [[key, value] for key, value in result.items()])
    sys.exit(1 if result["failed"] or result["misrouted"] else 0)


if __name__ == "__main__":
    main()
