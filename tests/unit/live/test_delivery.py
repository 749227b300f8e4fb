"""Records on their way to the gateway that shows chains: what goes, what comes, and what is done if nobody is there."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web

from gateway.live import delivery
from gateway.live.delivery import BATCH, Deliverer, pack, unpack
from gateway.live.store import RecordStore
from gateway.telemetry.request_record import Reporter, RequestRecord
from tests.support.records import TRACE, marked, record
from tests.support.wait import until

SIDECAR = Reporter("a", "sidecar", "gray", "192.0.2.1:80")


def stored(*records: RequestRecord) -> RecordStore:
    store = RecordStore(50, 1 << 20, 1)
    store.add(SIDECAR, records)
    return store


async def test_what_is_packed_is_unpacked_without_what_stays_at_home() -> None:
    """Through JSON: nothing but plain values."""
    full = marked(
        params={"group": "gray"}, trace_id=TRACE, upstream_us=5, cause="late", head=b"GET", client_ip="192.0.2.7"
    )
    data = json.loads(json.dumps(pack(SIDECAR, list(stored(full)))))
    found = unpack(data)
    plain = marked(params={"group": "gray"}, trace_id=TRACE, upstream_us=5, cause="late")
    assert (found.reporter, found.records) == (SIDECAR, [plain])


def packed(**values: Any) -> dict[str, Any]:
    return {"reporter": {"name": "a"}, "records": [{**pack(SIDECAR, list(stored_now()))["records"][0], **values}]}


def stored_now() -> RecordStore:
    return stored(record())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"status": "many"}, "records.0.status: Input should be a valid integer"),
        ({"time": None}, "records.0.time: Input should be a valid number"),
        ({"params": ["x"]}, "records.0.params: Input should be a valid dictionary"),
        ({"head": "GET /"}, "records: neither heads nor clients are delivered"),
        ({"client_ip": "192.0.2.1"}, "records: neither heads nor clients are delivered"),
    ],
)
async def test_what_is_no_record(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        unpack(packed(**change))


@pytest.mark.parametrize("data", [None, [], {}, {"reporter": {"name": "a"}}, {"reporter": "a", "records": []}])
def test_what_is_no_delivery(data: Any) -> None:
    with pytest.raises(ValueError, match=r"^\w"):
        unpack(data)


async def test_a_delivery_is_bounded() -> None:
    data = packed()
    data["records"] *= BATCH + 1
    with pytest.raises(ValueError, match=f"records: {BATCH + 1} are more than the {BATCH} of one delivery"):
        unpack(data)


class Collector:
    """Takes deliveries, each with the next of `statuses`, 200 after the last."""

    def __init__(self) -> None:
        self.statuses: list[int] = []
        self.tokens: set[str | None] = set()
        self.paths: list[list[str]] = []

    async def start(self) -> None:
        app = web.Application()
        app.router.add_post("/api/v1/records", self._take)
        self.runner = web.AppRunner(app)
        await self.runner.setup()
        site = web.TCPSite(self.runner, "127.0.0.1", 0)
        await site.start()
        self.address = f"127.0.0.1:{self.runner.addresses[0][1]}"

    async def _take(self, request: web.Request) -> web.Response:
        status = self.statuses.pop(0) if self.statuses else 200
        self.tokens.add(request.headers.get("Authorization"))
        self.paths.append([item["path"] for item in (await request.json())["records"]])
        return web.Response(status=status, text="a\x1b[31m reason")


@pytest.fixture
async def collector(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Collector]:
    for name in ("GATHER", "FIRST_PAUSE"):
        monkeypatch.setattr(delivery, name, 0.01)
    collector = Collector()
    await collector.start()
    yield collector
    await collector.runner.cleanup()


class Delivering:
    def __init__(self, collector: Collector, size: int = 50) -> None:
        self.store = RecordStore(size, 1 << 20, 1)
        self.deliverer = Deliverer(self.store, SIDECAR, collector.address, "s" * 16)
        self.task = asyncio.create_task(self.deliverer.run())

    async def end(self) -> None:
        self.store.close()
        await asyncio.wait_for(self.task, 10)


async def test_records_are_delivered_in_order_with_the_token(collector: Collector) -> None:
    delivering = Delivering(collector)
    await asyncio.sleep(0)
    delivering.store.add(SIDECAR, [record(path="/1"), record(path="/2")])
    await until(lambda: collector.paths)
    delivering.store.add(SIDECAR, [record(path="/3")])
    await until(lambda: len(collector.paths) == 2)
    assert (collector.paths, collector.tokens) == ([["/1", "/2"], ["/3"]], {"Bearer " + "s" * 16})
    await until(lambda: delivering.deliverer.delivered == 3)
    assert delivering.deliverer.lost == 0
    await delivering.end()


async def test_what_the_collector_cannot_take_now_is_tried_again_and_logged_once(
    collector: Collector, caplog: pytest.LogCaptureFixture
) -> None:
    collector.statuses = [503, 503]
    delivering = Delivering(collector)
    await asyncio.sleep(0)
    delivering.store.add(SIDECAR, [record(path="/1")])
    await until(lambda: delivering.deliverer.delivered == 1)
    assert collector.paths == [["/1"]] * 3
    [message] = [item.getMessage() for item in caplog.records if item.name == "gateway.live"]
    assert message.endswith(r": 503 a\x1b[31m reason")
    await delivering.end()


async def test_what_the_collector_refuses_is_lost_not_tried_for_ever(collector: Collector) -> None:
    collector.statuses = [400]
    delivering = Delivering(collector)
    await asyncio.sleep(0)
    delivering.store.add(SIDECAR, [record(path="/1")])
    await until(lambda: delivering.deliverer.lost == 1)
    delivering.store.add(SIDECAR, [record(path="/2")])
    await until(lambda: delivering.deliverer.delivered == 1)
    assert collector.paths == [["/1"], ["/2"]]
    await delivering.end()


async def test_while_the_collector_is_away_the_oldest_are_lost_and_counted(collector: Collector) -> None:
    collector.statuses = [500]
    delivering = Delivering(collector, size=3)
    await asyncio.sleep(0)
    delivering.store.add(SIDECAR, [record(path="/0")])
    await until(lambda: collector.paths)
    delivering.store.add(SIDECAR, [record(path=f"/{number}") for number in range(1, 6)])
    await until(lambda: delivering.deliverer.delivered == 3)
    assert (collector.paths[-1], delivering.deliverer.lost) == (["/3", "/4", "/5"], 3)
    await delivering.end()
