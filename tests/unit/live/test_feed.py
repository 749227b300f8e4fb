"""What the data plane kept comes to the store, in the order in which requests began."""

from __future__ import annotations

import asyncio

from gateway.http.head_reader import build_request
from gateway.live.feed import Taker
from gateway.live.records import Records
from gateway.proxy.record import Record
from gateway.proxy.recorder import Recorder, Renderer
from gateway.routing.decision import Decision
from gateway.settings import RecordSettings
from gateway.telemetry.counters import Traffic
from gateway.telemetry.request_record import Reporter
from tests.support.records import record
from tests.support.wait import until


def test_the_listeners_of_a_process_are_one_order() -> None:
    taker = Taker()
    taker.recorders = [Recorder(Renderer(name), Traffic(), 5, 5) for name in ("inbound", "outbound")]
    for started, recorder in ((2.0, taker.recorders[0]), (1.0, taker.recorders[1])):
        recorder.note(Record(build_request("GET", "/"), Decision(1), started), 3.0, 0.0)
    assert [found.listener for found in taker.take()] == ["outbound", "inbound"]
    assert taker.take() == []


async def test_records_come_to_the_store_until_it_is_closed() -> None:
    records = Records(RecordSettings(), Reporter("gateway"))
    taken = [[record(path="/1")], [], [record(path="/2")]]
    records.start(lambda: taken.pop(0) if taken else [])
    await until(lambda: len(records.own) == 2)
    assert [stored.record.path for stored in records.own] == ["/1", "/2"]
    assert records.deliveries() is None
    await records.close()
    assert records.own.is_closed
    await records.close()


async def test_if_records_are_off_nothing_is_taken() -> None:
    records = Records(RecordSettings(enabled=False), Reporter("gateway"))
    before = asyncio.all_tasks()
    records.start(list)
    assert asyncio.all_tasks() == before
    await records.close()


async def test_deliveries_are_counted() -> None:
    settings = RecordSettings.model_validate({"collector": "127.0.0.1:9"})
    records = Records(settings, Reporter("gateway"))
    records.start(list)
    assert records.deliveries() == {"delivered": 0, "lost": 0}
    await records.close()
