"""One worker of `workers: N`: it does what the supervisor says."""

from __future__ import annotations

import asyncio
import signal
import socket
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from gateway.app.signals import OBEYED
from gateway.app.worker import Worker
from gateway.control.channel import Channel
from gateway.errors import ConfigError, StartError
from gateway.instance import Instance
from gateway.proxy.server import bind
from gateway.telemetry.counters import Traffic
from tests.support.roles import GROUPS, gateway_settings
from tests.support.rules import rule_set
from tests.support.wait import until


@pytest.fixture(autouse=True)
def handlers() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in OBEYED}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


class Supervised:
    """A worker in this process, and the supervisor's end of its channel."""

    async def start(self) -> None:
        ours, theirs = socket.socketpair()
        self.channel = await Channel.over(ours)
        self.sock = bind("127.0.0.1", 0)
        self.worker = Worker(await Channel.over(theirs), [self.sock])
        self.running = asyncio.create_task(self.worker.run())

    async def heard(self) -> tuple[str, Any]:
        async with asyncio.timeout(30):
            message = await self.channel.receive()
        assert message is not None
        return message

    async def report(self) -> dict[str, Any]:
        self.channel.send("report")
        name, (statistics,) = await self.heard()
        assert name == "statistics"
        found: dict[str, Any] = statistics
        return found


@pytest.fixture
async def supervised() -> AsyncIterator[Supervised]:
    supervised = Supervised()
    await supervised.start()
    yield supervised
    supervised.channel.close()
    await asyncio.gather(supervised.running, return_exceptions=True)
    supervised.sock.close()


SETTINGS = gateway_settings(name="shop", drain={"timeout": "20s"})


async def test_it_serves_what_it_is_told_until_it_is_told_to_drain(supervised: Supervised) -> None:
    channel, worker = supervised.channel, supervised.worker
    channel.send("configure", 3, SETTINGS, rule_set(GROUPS))
    rows = [Instance("127.0.0.1", 1, tag="gray").as_row()]
    channel.send("service", "a", rows)
    channel.send("service", "b", rows)
    channel.send("forget", "b")
    channel.send("serve")
    assert await supervised.heard() == ("ready", ())
    assert (await supervised.report())["ejected"] == {"a": []}
    plane = worker._plane
    assert plane is not None
    assert plane.snapshot.revision == 3
    assert [lane.name for lane in plane.snapshot.rules.lanes] == ["entry"]
    assert plane.snapshot.services["a"].instances == (Instance("127.0.0.1", 1, tag="gray"),)
    reader, writer = await asyncio.open_connection(*supervised.sock.getsockname())
    writer.write(b"GET /nowhere HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    assert (await reader.readline()).startswith(b"HTTP/1.1 404 ")
    writer.close()
    channel.send("drain", 0.0, 5.0)
    name, (records,) = await supervised.heard()
    while name == "records":
        kept = [(record.path, record.status, record.cause) for record in records]
        name, (records,) = await supervised.heard()
    statistics, traffic = records, Traffic()
    assert kept == [("/nowhere", 404, "no_route")]
    traffic.add(statistics["traffic"])
    assert (name, dict(traffic.refused)) == ("statistics", {"no_route": 1})
    assert await supervised.heard() == ("drained", (True,))
    await supervised.running


async def test_one_that_somebody_else_ends_says_so_first(supervised: Supervised) -> None:
    """So that its successor is there before it drains."""
    supervised.channel.send("configure", 1, SETTINGS, rule_set(GROUPS))
    supervised.channel.send("serve")
    assert await supervised.heard() == ("ready", ())
    supervised.worker._leaving.set()  # SIGTERM
    assert [(await supervised.heard())[0] for _ in range(3)] == ["leaving", "statistics", "drained"]
    await supervised.running
    assert supervised.worker._drain == (0.0, 20.0)


async def test_without_a_supervisor_it_drains(supervised: Supervised) -> None:
    supervised.channel.send("configure", 1, SETTINGS, rule_set(GROUPS))
    supervised.channel.send("serve")
    await supervised.heard()
    supervised.channel.close()
    await supervised.running


async def test_a_build_that_fails_later_leaves_the_one_before(
    supervised: Supervised, caplog: pytest.LogCaptureFixture
) -> None:
    supervised.channel.send("configure", 1, SETTINGS, rule_set(GROUPS))
    gone = gateway_settings(services={"a": {"tls": {"ca": "/nowhere/ca.pem"}}})
    supervised.channel.send("configure", 2, gone, rule_set([]))
    await supervised.report()
    plane = supervised.worker._plane
    assert plane is not None
    assert plane.snapshot.revision == 1
    assert "revision 2 was not applied" in caplog.text
    assert not supervised.running.done()


async def test_without_a_first_build_it_does_not_serve(supervised: Supervised) -> None:
    """The next worker may find the files mended."""
    gone = gateway_settings(services={"a": {"tls": {"ca": "/nowhere/ca.pem"}}})
    supervised.channel.send("configure", 1, gone, rule_set([]))
    with pytest.raises(ConfigError, match=r"ca\.pem"):
        await supervised.running


async def test_a_log_that_cannot_be_opened_ends_it(supervised: Supervised) -> None:
    supervised.channel.send("configure", 1, gateway_settings(access_log={"path": "/nowhere/log"}), rule_set([]))
    supervised.channel.send("serve")
    with pytest.raises(StartError, match="cannot open the access log"):
        await supervised.running


async def test_logs_are_opened_anew(supervised: Supervised, tmp_path: Any) -> None:
    log = tmp_path / "access.log"
    supervised.channel.send("configure", 1, gateway_settings(access_log={"path": str(log)}), rule_set([]))
    supervised.channel.send("serve")
    await supervised.heard()
    log.rename(tmp_path / "old.log")
    supervised.channel.send("reopen")
    await until(log.exists)
