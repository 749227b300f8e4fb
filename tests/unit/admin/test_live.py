"""Live data over HTTP: lists, streams that lose records but no memory, chains, explanations, deliveries."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest

from gateway.admin import live
from gateway.admin.server import AdminServer
from gateway.live.records import Records
from gateway.settings import RecordSettings
from gateway.telemetry.request_record import Reporter, RequestRecord
from tests.support.admin import ShownRole
from tests.support.records import TRACE, marked, record
from tests.support.strangers import ask
from tests.support.wait import until

GATEWAY = Reporter("gateway")
TOKEN, DELIVERY = "t" * 16, "d" * 16


class Served:
    """An admin server of these records."""

    def __init__(self, **settings: Any) -> None:
        self.records = Records(RecordSettings.model_validate({"size": 200, **settings}), GATEWAY)
        self.role = ShownRole()

    async def start(self, explains: bool = True, token: str = "") -> Served:
        explainer = self.role if explains else None
        self.server = AdminServer("127.0.0.1", 0, self.role, explainer=explainer, records=self.records, token=token)
        await self.server.start()
        return self

    def add(self, *records: RequestRecord) -> None:
        self.records.own.add(GATEWAY, records)

    async def get(self, path: str) -> tuple[int, dict[str, Any]]:
        status, _, body = await ask(self.server.port, "GET", f"/api/v1/{path}")
        return status, json.loads(body)

    async def post(self, data: Any, token: str = "") -> tuple[int, dict[str, Any]]:
        fields = [("Content-Type", "application/json")] + ([("Authorization", f"Bearer {token}")] if token else [])
        status, _, body = await ask(
            self.server.port, "POST", "/api/v1/records", tuple(fields), json.dumps(data).encode()
        )
        return status, json.loads(body)

    async def stream(self, query: str = "", last: int | None = None) -> Stream:
        stream = Stream()
        await stream.open(self.server.port, query, last)
        return stream


class Stream:
    """A client that follows the requests."""

    async def open(self, port: int, query: str, last: int | None) -> None:
        self.reader, self.writer = await asyncio.open_connection("127.0.0.1", port, limit=8192)
        cursor = "" if last is None else f"Last-Event-ID: {last}\r\n"
        head = f"GET /api/v1/requests/stream{query} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n{cursor}\r\n"
        self.writer.write(head.encode())
        self.head = (await self.line()) + "".join([line async for line in self._head()])

    async def _head(self) -> AsyncIterator[str]:
        while (line := await self.line()) != "\r\n":
            yield line

    async def line(self) -> str:
        async with asyncio.timeout(20):
            return (await self.reader.readuntil(b"\r\n")).decode()

    async def event(self) -> dict[str, str]:
        """The next event: chunks are read as aiohttp writes them, one or more events each."""
        fields: dict[str, str] = {}
        while True:
            async with asyncio.timeout(20):
                line = (await self.reader.readuntil(b"\n")).decode().rstrip("\r\n")
            if not line and fields:
                return fields
            name, colon, value = line.partition(":")
            if colon:
                fields[name] = value.strip()

    async def requests(self, count: int) -> list[str]:
        """The paths of the next requests."""
        found: list[str] = []
        while len(found) < count:
            event = await self.event()
            if event.get("event") == "request":
                found.append(json.loads(event["data"])["path"])
        return found

    def close(self) -> None:
        self.writer.transport.abort()


@pytest.fixture
async def served() -> AsyncIterator[Served]:
    served = await Served().start()
    yield served
    await served.server.close()


async def test_the_latest_requests_newest_first(served: Served) -> None:
    served.add(record(path="/1"), marked(path="/2"), record(path="/3"))
    status, found = await served.get("requests")
    assert (status, [item["path"] for item in found["requests"]]) == (200, ["/3", "/2", "/1"])
    assert found["last"] == found["requests"][0]["id"] == served.records.own.last
    _, found = await served.get("requests?limit=1&lane=gray")
    assert [item["path"] for item in found["requests"]] == ["/2"]


@pytest.mark.parametrize(
    ("query", "detail"),
    [
        ("limit=0", "limit is 1 to 200, not '0'"),
        ("limit=201", "limit is 1 to 200, not '201'"),
        ("limit=x", "limit is 1 to 200, not 'x'"),
        ("status=6", "status is 404 or 4xx, not '6'"),
    ],
)
async def test_what_is_no_filter_is_told(served: Served, query: str, detail: str) -> None:
    status, found = await served.get(f"requests?{query}")
    assert (status, found["code"], found["detail"]) == (400, "bad_filter", detail)


async def test_a_stream_begins_now_and_has_ids(served: Served) -> None:
    served.add(record(path="/before"))
    stream = await served.stream()
    assert "Content-Type: text/event-stream\r\n" in stream.head
    assert "Cache-Control: no-store\r\n" in stream.head
    assert await stream.event() == {"retry": "1000"}
    served.add(record(path="/after"))
    event = await stream.event()
    assert (event["id"], event["event"]) == (str(served.records.own.last), "request")
    assert json.loads(event["data"])["path"] == "/after"
    stream.close()


async def test_a_stream_shows_only_what_is_asked_for(served: Served) -> None:
    stream = await served.stream("?lane=gray")
    served.add(record(path="/1"), marked(path="/2"), record(path="/3"), marked(path="/4"))
    assert await stream.requests(2) == ["/2", "/4"]
    stream.close()


async def test_a_stream_goes_on_where_it_was(served: Served) -> None:
    served.add(*(record(path=f"/{number}") for number in range(4)))
    stream = await served.stream(last=served.records.own.last - 2)
    assert await stream.requests(2) == ["/2", "/3"]
    stream.close()


async def test_after_a_restart_a_client_is_told_that_records_are_lost(served: Served) -> None:
    served.add(record(path="/new"))
    stream = await served.stream(last=5)
    assert await stream.event() == {"retry": "1000"}
    assert await stream.event() == {"event": "lost", "data": '{"count": null}'}
    assert await stream.requests(1) == ["/new"]
    stream.close()


async def test_a_client_that_reads_slowly_loses_records_and_is_told_how_many(served: Served) -> None:
    """Nothing is kept for it: what it gets at last are the latest ones, and the number of those between."""
    stream = await served.stream()
    assert await stream.event() == {"retry": "1000"}
    total, seen, lost, first = 12_000, 0, 0, served.records.own.last
    for number in range(total // 100):
        served.add(*(record(path=f"/{number}/{'x' * 1500}") for _ in range(100)))
        await asyncio.sleep(0)
    while seen + lost < total:
        event = await stream.event()
        if event["event"] == "lost":
            lost += json.loads(event["data"])["count"]
        else:
            seen += 1
            assert int(event["id"]) == first + seen + lost
    assert lost > 0
    assert len(served.records.own) <= 200
    stream.close()


async def test_a_quiet_stream_says_that_it_is_alive(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "KEEP_ALIVE", 0.01)
    stream = await served.stream()
    assert await stream.event() == {"retry": "1000"}
    async with asyncio.timeout(20):
        await stream.reader.readuntil(b": keep-alive\n\n")
    stream.close()


async def test_a_client_that_reads_nothing_is_let_go(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "PATIENCE", 0.05)
    stream = await served.stream()
    api = served_api(served)
    for _ in range(2000):
        served.add(*(record(path="/" + "x" * 2000) for _ in range(20)))
        await asyncio.sleep(0)
        if not api._streams:
            break
    await until(lambda: not api._streams, "the stream to be ended")
    stream.close()


def served_api(served: Served) -> live.LiveApi:
    for route in served.server.app.router.routes():
        closure = route.handler.__closure__ or ()
        for cell in closure:
            if isinstance(cell.cell_contents, live.LiveApi):
                return cell.cell_contents
    raise AssertionError


async def test_the_number_of_streams_is_bounded(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "MOST_STREAMS", 1)
    monkeypatch.setattr(live, "KEEP_ALIVE", 0.01)
    stream = await served.stream()
    assert (await served.get("requests/stream"))[1]["code"] == "too_many_streams"
    stream.close()
    api = served_api(served)
    await until(lambda: not api._streams, "the stream to be ended")


async def test_whoever_follows_does_not_hold_up_the_end() -> None:
    served = await Served().start()
    stream = await served.stream()
    await stream.event()
    await served.server.close()
    # aiohttp itself would wait two seconds, and then cut it off.
    assert (await stream.reader.read()).endswith(b"0\r\n\r\n")
    stream.close()


async def test_a_stream_that_is_only_looked_at_ends(served: Served) -> None:
    status, fields, _ = await ask(served.server.port, "HEAD", "/api/v1/requests/stream")
    assert (status, fields["content-type"]) == (200, "text/event-stream")


async def test_last_event_id_is_an_id(served: Served) -> None:
    status, _, body = await ask(served.server.port, "GET", "/api/v1/requests/stream", (("Last-Event-ID", "x"),))
    assert (status, json.loads(body)["code"]) == (400, "bad_filter")


async def test_a_chain_is_of_own_and_delivered_records(served: Served) -> None:
    served.add(marked(trace_id=TRACE, instance="192.0.2.1:80", time=1.0, duration_us=1_000_000), marked(service="z"))
    outbound = {"listener": "outbound", "method": "GET", "host": "b", "path": "/x", "status": 200, "service": "b"}
    decided = {"tag": "gray", "tag_source": "header", "pool": "base", "fallback": "absent", "revision": 1}
    call = {**outbound, **decided, "time": 1.2, "duration_us": 5, "trace_id": TRACE}
    sidecar = {"name": "a", "role": "sidecar", "tag": "gray", "address": "192.0.2.1:80"}
    assert await served.post({"reporter": sidecar, "records": [call]}) == (200, {"taken": 1})
    status, found = await served.get(f"chains/{TRACE}")
    assert (status, found["trace_id"], found["path"]) == (200, TRACE, ["a gray → b"])
    [hop] = found["hops"]
    assert [(item["label"], item["fallback"], item["reporter"]) for item in hop["calls"]] == [("b", "absent", sidecar)]
    # What others saw is in chains, not among the requests of this gateway.
    assert len((await served.get("requests"))[1]["requests"]) == 2


async def test_an_unknown_trace(served: Served) -> None:
    assert (await served.get(f"chains/{TRACE}"))[1]["code"] == "no_such_trace"
    assert (await served.get("chains/nonsense"))[1]["code"] == "not_found"


async def test_what_is_no_delivery_is_refused(served: Served) -> None:
    status, found = await served.post({"reporter": {"name": "a"}, "records": [{}]})
    assert (status, found["code"]) == (400, "bad_records")
    assert found["detail"].startswith("records.0.time: ")
    assert len(served.records.collected) == 0


async def test_the_token_of_deliveries_allows_deliveries_only() -> None:
    served = await Served(token=DELIVERY).start(token=TOKEN)
    data = {"reporter": {"name": "a"}, "records": []}
    assert [(await served.post(data, token))[0] for token in ("", "x" * 16, DELIVERY, TOKEN)] == [401, 401, 200, 200]
    bearer = (("Authorization", f"Bearer {DELIVERY}"),)
    for path in ("/api/v1/requests", "/api/v1/status"):
        assert (await ask(served.server.port, "GET", path, bearer))[0] == 401
    await served.server.close()


async def test_a_recorded_request_is_explained(served: Served) -> None:
    head = b"GET /A/x?group=gray HTTP/1.1\r\nHost: x\r\n\r\n"
    served.role.decision = dict.fromkeys(("lane", "group", "fallback")) | {
        "service": "a", "tag": "base", "tag_source": "none", "pool": "base", "revision": 1
    }  # fmt: skip
    served.add(record(head=head, client_ip="192.0.2.7"), record())
    last = served.records.own.last
    status, found = await served.get(f"requests/{last - 1}/explain")
    assert (status, found["id"], found["agrees"], found["missing"]) == (200, last - 1, True, [])
    [(request, client_ip, _)] = served.role.explained
    assert (request.head, client_ip) == (head, "192.0.2.7")
    assert [(await served.get(f"requests/{number}/explain"))[1]["code"] for number in (last, 1)] == [
        "no_evidence",
        "no_such_request",
    ]


async def test_a_sidecar_explains_none() -> None:
    served = await Served().start(explains=False)
    served.add(record(head=b"x"))
    assert (await served.get(f"requests/{served.records.own.last}/explain"))[1]["code"] == "no_lanes"
    await served.server.close()


async def test_if_records_are_off_that_is_said() -> None:
    served = await Served(enabled=False).start()
    for path in ("requests", "requests/stream", "requests/1/explain", f"chains/{TRACE}"):
        assert (await served.get(path))[1]["code"] == "records_off"
    assert (await served.post({"reporter": {"name": "a"}, "records": []}))[1]["code"] == "records_off"
    await served.server.close()


async def test_the_topology_is_of_the_time_that_the_records_cover() -> None:
    served = await Served(size=3).start()
    now = time.time()
    served.add(*(marked(time=now - seconds) for seconds in (50, 40, 30, 20)))
    _, found = await served.get("topology?seconds=45&lane=gray")
    assert (round(found["seconds"]), found["requests"], found["edges"][0]["to"]) == (40, 3, "a")
    assert (await served.get("topology?lane=blue"))[1]["edges"] == []
    for query in ("seconds=0", "seconds=99999", "seconds=a", "sceonds=1"):
        status, found = await served.get(f"topology?{query}")
        assert (status, found["code"]) == (400, "bad_filter")
    await served.server.close()
