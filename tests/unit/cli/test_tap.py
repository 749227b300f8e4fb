"""`gateway tap`, `top`, `topology` and `mirror` against an admin server in a thread of this process."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest
from click.testing import CliRunner

from gateway.admin.server import AdminServer
from gateway.cli import client, main, tap, top
from gateway.errors import GatewayError
from gateway.live.rates import Picture
from gateway.live.records import Records
from gateway.live.store import RecordStore
from gateway.settings import RecordSettings
from gateway.telemetry.request_record import Reporter, RequestRecord
from tests.support.admin import ShownRole
from tests.support.records import TRACE, marked, record

TOKEN = "t" * 16


async def _add(store: RecordStore, reporter: Reporter, records: Sequence[RequestRecord]) -> None:
    store.add(reporter, records)


class Server:
    """An admin server with a loop of its own: commands block."""

    def __init__(self) -> None:
        self.role = ShownRole()
        self.port = 0
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()
        self.start()

    def start(self) -> None:
        self.run(self._start())

    async def _start(self) -> None:
        self.records = Records(RecordSettings(size=100), Reporter("gateway"))
        self._server = AdminServer("127.0.0.1", self.port, self.role, records=self.records, token=TOKEN)
        await self._server.start()
        self.port = self._server.port

    def add(self, *records: RequestRecord) -> None:
        self.run(_add(self.records.own, Reporter("gateway"), records))

    def restart(self) -> None:
        self.run(self._server.close())
        self.start()

    def run(self, work: Any) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(20)

    def close(self) -> None:
        self.run(self._server.close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    yield server
    server.close()


def invoke(server: Server, *arguments: str) -> tuple[int, str, str]:
    command, *rest = arguments
    result = CliRunner().invoke(main, [command, "--server", f"127.0.0.1:{server.port}", "--token", TOKEN, *rest])
    return result.exit_code, result.stdout, result.stderr


def events(server: Server, cursor: str = "") -> Iterator[tuple[str, str, Any]]:
    return client.follow(f"127.0.0.1:{server.port}", "/api/v1/requests/stream", TOKEN, cursor)


def test_events_are_followed_as_they_come(server: Server) -> None:
    server.add(record(path="/0"))
    before = server.records.own.last
    found = events(server, str(before - 1))
    assert next(found)[2]["path"] == "/0"
    server.add(record(path="/1\u2028"))
    number, name, data = next(found)
    assert (int(number), name, data["path"]) == (before + 1, "request", "/1\u2028")
    server.run(server._server.close())
    assert list(found) == []  # the server ended the stream
    server.start()


def test_it_goes_on_after_the_server_restarts_and_says_so(
    server: Server, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(tap, "PAUSE", 0.01)
    server.add(record(path="/0"))
    found = tap._events(f"127.0.0.1:{server.port}", TOKEN, {}, 1)
    assert next(found)[1]["path"] == "/0"
    server.add(record(path="/1"))
    assert next(found)[1]["path"] == "/1"
    server.restart()
    server.add(record(path="/2"))
    assert next(found) == ("lost", {"count": None})
    assert next(found)[1]["path"] == "/2"


def test_a_stream_that_breaks_is_taken_up_after_the_last_request(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tap, "PAUSE", 0.0)
    cursors = []

    def follow(server: str, path: str, token: str, cursor: str) -> Iterator[tuple[str, str, Any]]:
        cursors.append(cursor)
        yield "", "lost", {"count": 1}
        yield str(len(cursors) + 6), "request", {}
        raise GatewayError("it is gone")

    monkeypatch.setattr(tap, "follow", follow)
    found = tap._events("x:1", TOKEN, {}, 0)
    assert [name for name, _ in (next(found) for _ in range(5))] == ["lost", "request", "lost", "request", "lost"]
    assert cursors == ["", "7", "8"]


def test_a_server_that_is_not_there_or_says_no_is_an_error(server: Server) -> None:
    code, _, err = invoke(server, "tap", "--status", "6")
    assert (code, err) == (1, f"127.0.0.1:{server.port} returned 400: status is 404 or 4xx, not '6'\n")
    result = CliRunner().invoke(main, ["tap", "--server", "127.0.0.1:9"])
    assert (result.exit_code, result.stderr.startswith("cannot query 127.0.0.1:9: ")) == (1, True)


@pytest.fixture
def ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """The stream ends, where the real one goes on for ever."""

    def events(*given: Any) -> Iterator[tuple[str, Any]]:
        yield "request", marked(path="/x\x1b[31m", instance="192.0.2.1:80", trace_id=TRACE, duration_us=1250).as_dict()
        yield "lost", {"count": 12}
        yield "request", record(service="", status=404, cause="no_route").as_dict()

    monkeypatch.setattr(tap, "_events", events)


@pytest.mark.usefixtures("ends")
def test_a_request_is_one_printable_line(server: Server) -> None:
    code, out, err = invoke(server, "tap")
    assert code == 0
    first, second = (line.split("  ", 1)[1] for line in out.splitlines())
    assert first == (rf"200  GET shop.example/x\x1b[31m  → a gray (lane demo/gray) at 192.0.2.1:80  1.2 ms  {TRACE}")
    assert second == "404  GET shop.example/A/x  → (no service)  1.0 ms  no_route"
    assert err == "12 records are not shown: they were gone before they could be read\n"


@pytest.mark.usefixtures("ends")
def test_as_json_each_is_an_object_on_a_line(server: Server) -> None:
    _, out, _ = invoke(server, "tap", "-o", "json")
    assert [json.loads(line)["status"] for line in out.splitlines()] == [200, 404]


def test_the_path_of_a_trace(server: Server) -> None:
    a = Reporter("a", "sidecar", "gray", "192.0.2.1:80")
    first = marked(trace_id=TRACE, instance=a.address, time=1.0, duration_us=500_000)
    call = marked(
        trace_id=TRACE, listener="outbound", service="b", pool="base", fallback="absent", tag_source="header", lane="", time=1.1
    )  # fmt: skip
    server.add(first)
    server.run(_add(server.records.collected, a, [call]))
    code, out, err = invoke(server, "tap", "--chain", TRACE)
    assert (code, err) == (0, "")
    assert out.splitlines() == [
        "a gray → b",
        "  → a gray (lane demo/gray) at 192.0.2.1:80  200  500.0 ms",
        "    a → b (tag gray from header, fallback: absent)  200  1.0 ms",
    ]
    assert json.loads(invoke(server, "tap", "--chain", TRACE, "-o", "json")[1])["path"] == ["a gray → b"]
    assert invoke(server, "tap", "--chain", TRACE, "--lane", "x")[0] == 2


def test_top_prints_one_picture_to_a_pipe(server: Server) -> None:
    server.role.services = list  # type: ignore[method-assign]
    code, out, err = invoke(server, "top", "--interval", "0.1")
    assert (code, out.split(), err) == (
        0,
        ["listener", "service", "tag", "requests/s", "errors", "p95", "in", "flight"],
        "",
    )
    assert invoke(server, "top", "--interval", "0.1", "-o", "json")[1] == "[]\n"


def test_what_is_no_gateway_is_told(server: Server) -> None:
    server.role.services = lambda: [{"service": "a"}]  # type: ignore[method-assign]
    code, _, err = invoke(server, "top", "--interval", "0.1")
    assert (code, "services[0].pools is missing" in err) == (1, True)


def test_on_a_terminal_top_goes_on_after_the_server_was_away(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[list[list[str]]] = []
    labels = 'listener="entry",service="a",tag="gray",code="200"'
    looks: list[Any] = [
        Picture("", []),
        GatewayError("it is away"),
        GatewayError("it is away"),
        Picture(f"# TYPE gateway_requests counter\ngateway_requests_total{{{labels}}} 5\n", []),
        KeyboardInterrupt(),
    ]

    def look(*_: object) -> Picture:
        found = looks.pop(0)
        if isinstance(found, BaseException):
            raise found
        assert isinstance(found, Picture)
        return found

    @contextmanager
    def table(_: object) -> Iterator[Any]:
        yield shown.append

    monkeypatch.setattr(top, "is_terminal", lambda: True)
    monkeypatch.setattr(top, "live_table", table)
    monkeypatch.setattr(top, "_look", look)
    code, out, err = invoke(server, "top", "--interval", "0.1")
    assert (code, out, err) == (1, "", "it is away; waiting for it\n\nAborted!\n")  # Ctrl-C
    [[row]] = shown
    assert row[:3] == ["entry", "a", "gray"]


def test_the_topology_is_a_table_or_json(server: Server) -> None:
    now = time.time()
    server.add(marked(time=now, duration_us=1500), record(time=now, service="b", status=502, duration_us=20_000))
    server.add(marked(time=now, service="c", pool="base", fallback="absent", duration_us=500))
    code, out, _ = invoke(server, "topology", "--seconds", "30")
    lines = [line.split() for line in out.splitlines()]
    assert (code, lines[0]) == (0, ["from", "to", "tag", "served", "by", "requests/s", "errors", "p95"])
    assert [line[:4] + line[5:] for line in lines[1:]] == [
        ["gateway", "a", "gray", "gray", "0", "1.5", "ms"],
        ["gateway", "b", "base", "base", "100.0", "%", "20", "ms"],
        ["gateway", "c", "gray", "base", "0", "0.5", "ms", "fallback:", "absent"],
    ]
    code, out, _ = invoke(server, "topology", "--lane", "demo/gray", "-o", "json")
    assert (code, [edge["to"] for edge in json.loads(out)["edges"]]) == (0, ["a", "c"])


def test_a_difference_from_outside_moves_no_cursor(server: Server) -> None:
    """Names of members and values of headers are an application's: C0, C1, and what shows text in another order."""
    evil = "\x1b]0;x\x07\x9b2J\u202e\r\n"
    found = [{"what": f"/{evil}", "baseline": evil, "lane": evil}]
    item = {"lane": "demo/gray", "service": "a", "instance": "127.0.0.1:1", "method": "GET", "path": f"/{evil}"}
    server.role.differing = [{**item, "time": 1.0, "tag": "gray", "differences": found}]
    code, out, _ = invoke(server, "mirror")
    assert (code, len(out.splitlines())) == (0, 2)
    assert all(line.isprintable() for line in out.splitlines())


def test_differences_of_mirrors_are_a_table_or_json(server: Server) -> None:
    found = [{"what": "status", "baseline": "200", "lane": "500"}, {"what": "/price", "baseline": "1", "lane": "2"}]
    item = {"lane": "demo/gray", "service": "a", "instance": "127.0.0.1:1", "method": "GET", "path": "/x"}
    server.role.differing = [{**item, "time": 1.0, "tag": "gray", "differences": found}]
    code, out, _ = invoke(server, "mirror")
    assert (code, [line.split() for line in out.splitlines()]) == (
        0,
        [
            ["lane", "service", "instance", "request", "what", "baseline", "lane", "says"],
            ["demo/gray", "a", "127.0.0.1:1", "GET", "/x", "status", "200", "500"],
            ["demo/gray", "a", "127.0.0.1:1", "GET", "/x", "/price", "1", "2"],
        ],
    )
    code, out, _ = invoke(server, "mirror", "-o", "json")
    assert (code, json.loads(out)) == (0, {"mirrored": server.role.differing})


@pytest.mark.parametrize(("tag", "said"), [("gray", "TAG gray LOST: no_id"), ("", "TAG LOST: no_id")])
def test_which_tag_was_lost_is_said_where_it_can_be_told(tag: str, said: str) -> None:
    item = record(service="b", tag="base", pool="base", lost="no_id", lost_tag=tag).as_dict()
    assert f"({said})" in tap._went(item)
