"""The access log: one line for each request, whatever became of it, and nothing that a client could forge in it."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from gateway.proxy.access_log import COMBINED, JSON, AccessLog
from gateway.telemetry.linefile import LineFile
from tests.support.bounds import Timeouts
from tests.support.hostile import started
from tests.support.origin import Origin
from tests.support.proxy import Proxy
from tests.support.wait import until


class Log:
    """An access log, and what stands in it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.file = LineFile(str(path))

    def lines(self) -> list[str]:
        self.file.flush()
        return self.path.read_text().splitlines()

    async def entries(self, count: int) -> list[dict[str, Any]]:
        await until(lambda: len(self.lines()) >= count, f"{count} lines")
        found = [json.loads(line) for line in self.lines()]
        assert len(found) == count
        return found


@pytest.fixture
def log(tmp_path: Path) -> Log:
    return Log(tmp_path / "log")


@pytest.fixture
async def logged(origin: Origin, log: Log) -> AsyncIterator[Proxy]:
    """A proxy that logs everything."""
    proxy = Proxy()
    proxy.log = AccessLog(log.file, "entry", JSON, 1.0, ["user-agent", "x-none"], ["token"])
    proxy.timeouts = Timeouts(response=0.3)
    async with started(proxy, origin):
        yield proxy
    log.file.close()


async def test_a_plain_answer(logged: Proxy, origin: Origin, log: Log) -> None:
    trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    body = "POST /A/x?group=gray&token=secret&a=b HTTP/1.1\r\nHost: shop.example:80\r\nUser-Agent: me\r\n"
    await logged.ask(f"{body}traceparent: 00-{trace}-00f067aa0ba902b7-01\r\nContent-Length: 3\r\n\r\nabc".encode())
    (entry,) = await log.entries(1)
    assert entry.pop("ts").endswith("Z")
    assert 0 < entry.pop("upstream_us") <= entry.pop("duration_us")
    assert entry.pop("overhead_us") > 0
    assert entry == {
        "listener": "entry",
        "client": "127.0.0.1",
        "method": "POST",
        "host": "shop.example:80",
        "target": "/A/x?group=gray&token=***&a=b",
        "version": "1.1",
        "status": 200,
        "upstream_status": 200,
        "cause": None,
        "bytes_in": 3,
        "bytes_out": len(b"gray POST /x?group=gray&token=secret&a=b"),
        "route": "/A",
        "service": "a",
        "group": "demo",
        "lane": "gray",
        "tag": "gray",
        "tag_source": "rule",
        "pool": "gray",
        "fallback": None,
        "lost": None,
        "signature": None,
        "fault": None,
        "mirror": False,
        "rules": logged.router.snapshot.rules.terms.digest,
        "instance": f"127.0.0.1:{origin.ports['gray']}",
        "attempts": 1,
        "trace_id": trace,
        "revision": 1,
        "headers": {"user-agent": "me"},
    }


async def test_a_trace_that_was_made_here_can_be_found(logged: Proxy, origin: Origin, log: Log) -> None:
    await logged.get("/A/x")
    (entry,) = await log.entries(1)
    assert f"00-{entry['trace_id']}-" in (origin.header("traceparent") or "")


async def test_what_went_wrong_is_said(logged: Proxy, origin: Origin, log: Log) -> None:
    await logged.get("/none")
    await logged.ask(b"GET /A/x HTTP/1.1\r\n\r\n")

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    origin.script = silent
    await logged.get("/A/x")
    logged.context.timeouts = Timeouts()  # nobody is to be late any more, however slow the machine is
    client = await logged.connect()
    await client.send(b"GET /A/x HTTP/1.1\r\nHost: x\r\n\r\n")
    await until(lambda: logged.traffic.in_flight == 1)
    client.close()
    await until(lambda: logged.traffic.in_flight == 0)

    async def cut(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf")

    origin.script = cut
    client = await logged.connect()
    await client.send(b"GET /A/x HTTP/1.1\r\nHost: x\r\n\r\n")
    await client.rest()
    entries = await log.entries(5)
    assert [(entry["status"], entry["cause"], entry.get("upstream_status")) for entry in entries] == [
        (404, "no_route", None),
        (400, "bad_host", None),
        (504, "response_timeout", None),
        (499, "client_gone", None),
        (200, "truncated", 200),
    ]


async def test_a_client_cannot_forge_a_line(logged: Proxy, log: Log) -> None:
    """CWE-117: quotes, backslashes and bytes that terminals act on stay inside their value."""
    agent = b'x","status":200,"y":"\x1b[31m\xc2\x9b\xff\\'.replace(b"\x1b", b"\xc2\x85")
    await logged.ask(b'GET /A/"x"?y="} HTTP/1.1\r\nHost: x\r\nUser-Agent: ' + agent + b"\r\n\r\n")
    (entry,) = await log.entries(1)
    assert entry["target"] == '/A/"x"?y="}'
    assert entry["headers"]["user-agent"] == agent.decode("utf-8", "replace")
    assert log.path.read_bytes().isascii()


async def test_long_values_are_cut(logged: Proxy, log: Log) -> None:
    await logged.get("/A/" + "x" * 10_000)
    (entry,) = await log.entries(1)
    assert entry["target"] == "/A/" + "x" * (2048 - 3)


async def test_a_sample_holds_its_share_and_everything_that_failed(origin: Origin, log: Log) -> None:
    proxy = Proxy()
    proxy.log = AccessLog(log.file, "entry", JSON, 0.25)
    async with started(proxy, origin):
        for _ in range(8):
            await proxy.get("/A/x")
        for _ in range(3):
            await proxy.get("/empty")
        entries = await log.entries(5)
    assert [entry["status"] for entry in entries] == [200, 200, 503, 503, 503]
    assert proxy.traffic.log_lines == 5
    log.file.close()


async def test_what_an_instance_fails_at_is_in_every_sample(origin: Origin, log: Log) -> None:
    """A 5xx of the instance's own has no cause here, and is no plain answer all the same."""
    statuses = iter((b"200 OK", b"404 Not Found", b"500 Oops", b"503 Busy"))

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 %b\r\nContent-Length: 0\r\nConnection: close\r\n\r\n" % next(statuses))

    origin.script = script
    proxy = Proxy()
    proxy.log = AccessLog(log.file, "entry", JSON, 0.0)
    async with started(proxy, origin):
        for _ in range(4):
            await proxy.get("/A/x")
        entries = await log.entries(2)
    assert [(entry["status"], entry["upstream_status"], entry["cause"]) for entry in entries] == [
        (500, 500, None),
        (503, 503, None),
    ]
    log.file.close()


async def test_no_secret_gets_into_the_log(origin: Origin, log: Log) -> None:
    secret = "s3cr3t"
    headers = [
        f"Referer: https://shop.example/A?a=b&to%6Ben={secret}#access_token={secret}",
        f"Cookie: session={secret}; token={secret}",
        f"Token: {secret}",
        f"User-Agent: me https://x/?token={secret}",
    ]
    for kind in (JSON, COMBINED):
        proxy = Proxy()
        logged = ["referer", "cookie", "token", "user-agent"]
        proxy.log = AccessLog(log.file, "entry", kind, 1.0, logged, ["token", "access_token"])
        async with started(proxy, origin):
            await proxy.get(f"/A/x?to%6ben={secret}&TOKEN={secret}&user%5Btoken%5D={secret};{secret}", *headers)
            await proxy.get(f"http://shop.example/A/x;token={secret}", *headers)
    await until(lambda: len(log.lines()) == 4)
    assert secret not in log.path.read_text()
    assert json.loads(log.lines()[0])["target"] == "/A/x?to%6ben=***&TOKEN=***&user%5Btoken%5D=***"
    log.file.close()


async def test_combined(origin: Origin, log: Log) -> None:
    proxy = Proxy()
    proxy.log = AccessLog(log.file, "entry", COMBINED)
    async with started(proxy, origin):
        await proxy.get("/A/x?a=1", "Referer: http://x/", 'User-Agent: m"e')
        await proxy.ask(b"GET /A/x HTTP/1.1\r\n\r\n")
        await until(lambda: len(log.lines()) == 2)
    first, second = log.lines()
    stamp = r"\[\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d \+0000\]"
    assert re.fullmatch(rf'127\.0\.0\.1 - - {stamp} "GET /A/x\?a=1 HTTP/1\.1" 200 15 "http://x/" "m\\"e"', first)
    assert re.fullmatch(rf'127\.0\.0\.1 - - {stamp} "-" 400 0 "-" "-"', second)
    log.file.close()
