"""The page of requests over the endpoints that `docs/admin-api.md` describes, served by a stand-in that can lose and repeat."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import pytest
import pytest_asyncio
from aiohttp import web
from playwright.async_api import expect

from gateway.web.pages import console_routes
from gateway.web.server import WebServer
from tests.console.support import FOREIGN, Console, becomes

pytestmark = pytest.mark.asyncio(loop_scope="session")

TRACE = "0af7651916cd43dd8448eb211c80319c"


def record(number: int, **values: Any) -> dict[str, Any]:
    """A record as the API has it."""
    return {
        "id": number, "time": 1_795_000_000.5, "listener": "entry", "method": "GET", "host": "shop.example", "path": f"/A/{number}",
        "params": {"group": "gray"}, "status": 200, "cause": None, "route": "/A", "service": "a", "group": "shop", "lane": "gray",
        "tag": "gray", "tag_source": "rule", "pool": "gray", "fallback": None, "instance": "127.0.0.1:1", "duration_us": 2500,
        "upstream_us": 2000, "overhead_us": 120, "attempts": 1, "trace_id": TRACE, "revision": 3, "has_body": False,
        "reporter": {"name": "entry", "role": "entry", "tag": "base", "address": ""}, **values,
    }  # fmt: skip


class Live:
    """Serves records. `asked` has the query and the `Last-Event-ID` of each stream."""

    def __init__(self) -> None:
        self.records = [record(1)]
        self.edges: list[dict[str, Any]] = []
        self.role = "entry"
        self.asked: list[tuple[str, str]] = []
        self.streams: list[asyncio.Queue[str | None]] = []
        self.server = self._server(0)

    def _server(self, port: int) -> WebServer:
        app = web.Application()
        app.add_routes(console_routes("admin"))
        app.add_routes(
            [
                web.get("/api/v1/status", self._status),
                web.get("/api/v1/requests", self._list),
                web.get("/api/v1/requests/stream", self._stream),
                web.get("/api/v1/requests/{id}/explain", self._explain),
                web.get("/api/v1/chains/{trace:.*}", self._chain),
                web.get("/api/v1/topology", self._topology),
                web.get("/api/v1/lanes", self._lanes),
            ]
        )
        return WebServer(app, "127.0.0.1", port, "a stand-in")

    async def start(self) -> None:
        await self.server.start()

    async def restart(self) -> None:
        await self.close()
        self.server = self._server(self.server.port)
        await self.server.start()

    async def close(self) -> None:
        for queue in self.streams:
            queue.put_nowait(None)
        self.streams.clear()
        await self.server.close()

    def send(self, text: str) -> None:
        for queue in self.streams:
            queue.put_nowait(text)

    def add(self, *records: dict[str, Any]) -> None:
        for item in records:
            self.records.insert(0, item)
            self.send(f"id: {item['id']}\nevent: request\ndata: {json.dumps(item)}\n\n")

    async def _status(self, _: web.Request) -> web.Response:
        return web.json_response({"role": self.role})

    async def _list(self, request: web.Request) -> web.Response:
        return web.json_response(
            {
                "requests": self.records[:100] if "limit" not in request.query else self.records,
                "last": self.records[0]["id"],
            }
        )

    async def _stream(self, request: web.Request) -> web.StreamResponse:
        self.asked.append((request.rel_url.raw_query_string, request.headers.get("Last-Event-ID", "")))
        queue: asyncio.Queue[str | None] = asyncio.Queue()
        self.streams.append(queue)
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        await response.write(b"retry: 1000\n\n: hello\n\n")
        with suppress(ConnectionError):
            while (text := await queue.get()) is not None:
                await response.write(text.encode())
        return response

    async def _explain(self, request: web.Request) -> web.Response:
        found = next(item for item in self.records if str(item["id"]) == request.match_info["id"])
        decision = {
            name: found[name]
            for name in (
                "service",
                "group",
                "lane",
                "tag",
                "tag_source",
                "pool",
                "fallback",
                "instance",
                "route",
                "revision",
            )
        }
        condition = {
            "text": f"param {FOREIGN}",
            "value": FOREIGN,
            "held": True,
            "bucket": None,
            "share": [],
            "kept": False,
            "members": [],
        }
        lane = {
            "group": "shop",
            "lane": "gray",
            "tag": "gray",
            "state": "open",
            "match_mode": "all",
            "conditions": [condition],
            "matched": True,
            "winner": True,
        }
        return web.json_response(
            {
                "request": {},
                "decision": {**decision, "error": None, "detail": None},
                "lanes": [lane],
                "pools": [],
                "id": found["id"],
                "agrees": False,
                "missing": ["the body: …"],
            }
        )

    async def _chain(self, _: web.Request) -> web.Response:
        calls = [
            {
                **record(8, service="b", pool="base"),
                "label": "B",
                "tag_lost": False,
                "calls": [{**record(9), "label": "C gray", "tag_lost": True, "calls": []}],
            }
        ]
        hop = {**record(1), "label": "A gray", "tag_lost": False, "calls": calls}
        return web.json_response({"trace_id": TRACE, "path": ["A gray → B → C gray"], "hops": [hop]})

    async def _lanes(self, _: web.Request) -> web.Response:
        return web.json_response({"lanes": [{"group": "shop", "lane": "gray"}]})

    async def _topology(self, request: web.Request) -> web.Response:
        self.asked.append((request.rel_url.raw_query_string, ""))
        services = {name for edge in self.edges for name in (edge["from"], edge["to"])}
        return web.json_response(
            {
                "seconds": 60.0,
                "requests": 7,
                "gateways": ["gateway"],
                "services": [{"service": name, "tags": ["base", "gray"]} for name in sorted(services - {"gateway"})],
                "edges": self.edges,
            }
        )


def edge(source: str, target: str, **values: Any) -> dict[str, Any]:
    """An edge as the API has it."""
    return {
        "from": source, "is_entry": source == "gateway", "to": target, "tag": "gray", "pool": "gray", "fallback": None,
        "tag_lost": False, "requests": 6, "rate": 0.1, "errors": 0.5, "p95": 0.25, **values,
    }  # fmt: skip


@pytest_asyncio.fixture(loop_scope="session")
async def live() -> AsyncIterator[Live]:
    live = Live()
    await live.start()
    yield live
    await live.close()


async def test_requests_appear_as_they_come(live: Live, console: Console) -> None:
    await console.open(live.server.port, "#/requests")
    await console.sees("/A/1", "gray", "127.0.0.1:1", "2.5 ms")
    await expect(console.page.locator(".badge", has_text="live")).to_be_visible()
    live.add(record(2, status=503, cause="no_instance", pool="base", fallback="absent"), record(3))
    await console.sees("/A/2", "503", "absent", "/A/3")
    first = console.page.locator("tbody tr").first
    await expect(first).to_contain_text("/A/3")
    live.send('event: lost\ndata: {"count": 7}\n\n')
    await console.sees("7 lost")


async def test_a_pause_holds_the_list_still_and_loses_nothing(live: Live, console: Console) -> None:
    await console.open(live.server.port, "#/requests")
    await expect(console.page.locator(".badge", has_text="live")).to_be_visible()
    await console.click("Pause")
    live.add(record(2))
    live.add(record(3))
    await becomes(lambda: console.page.evaluate("document.querySelector('[aria-pressed=true]') !== null"))
    await expect(console.page.locator("tbody tr")).to_have_count(1)
    await console.click("Go on")
    await expect(console.page.locator("tbody tr")).to_have_count(3)


async def test_filters_are_in_the_address_and_in_the_command(live: Live, console: Console) -> None:
    await console.open(live.server.port, "#/requests?lane=gray&fallback=true&status=5xx")
    await becomes(lambda: _is(live.asked, ("lane=gray&status=5xx&fallback=true", "1")))
    assert (
        await console.command()
        == f"gateway tap --lane gray --status 5xx --fallback --server 127.0.0.1:{live.server.port}"
    )
    await console.page.get_by_label("Service").fill("it's")
    await console.page.keyboard.press("Enter")
    await becomes(lambda: _is(live.asked, ("lane=gray&service=it%27s&status=5xx&fallback=true", "1")))
    assert "--service 'it'\\''s'" in await console.command()


async def test_after_a_restart_it_goes_on_where_it_was(live: Live, console: Console) -> None:
    console.expected = ["ERR_", "Failed to load"]
    await console.open(live.server.port, "#/requests")
    await expect(console.page.locator(".badge", has_text="live")).to_be_visible()
    live.add(record(2))
    await console.sees("/A/2")
    await live.restart()
    await becomes(lambda: _is(live.asked, ("", "2")))
    live.add(record(3))
    await console.sees("/A/3", "/A/2")


async def test_a_row_leads_to_why_and_to_the_whole_chain(live: Live, console: Console) -> None:
    console.expected = ["404"]  # the stand-in explains nothing else
    await console.open(live.server.port, "#/requests")
    await console.page.locator("tbody a").first.click()
    await console.sees(
        "Lane shop/gray takes it",
        "A gray → B → C gray",
        "tag lost",
        TRACE,
        "By the current rules",
        "the body: …",
        FOREIGN,
    )
    await console.is_inert()
    await console.page.get_by_role("link", name="Explain with changes").click()
    await expect(console.page.get_by_label("URL", exact=True)).to_have_value("http://shop.example/A/1?group=gray")


async def test_foreign_texts_stay_texts_in_every_field(live: Live, console: Console) -> None:
    texts = (
        "method",
        "host",
        "path",
        "cause",
        "route",
        "service",
        "group",
        "lane",
        "tag",
        "tag_source",
        "pool",
        "fallback",
        "instance",
        "trace_id",
    )
    console.expected = ["no word for source_"]
    live.records = [
        record(
            1,
            **dict.fromkeys(texts, FOREIGN),
            params={FOREIGN: FOREIGN},
            reporter=dict.fromkeys(("name", "role", "tag", "address"), FOREIGN),
        )
    ]
    await console.open(live.server.port, "#/requests")
    await console.sees(FOREIGN)
    await console.is_inert()
    await console.page.locator("tbody a").first.click()
    await console.sees("A gray", FOREIGN)
    await console.is_inert()


async def test_the_topology_is_drawn_in_layers_with_what_fell_back_and_what_was_lost(
    live: Live, console: Console
) -> None:
    live.edges = [
        edge("gateway", "a"),
        edge("a", "b", pool="base", fallback="absent"),
        edge("b", "c"),
        edge("b", "c", tag="base", pool="base", tag_lost=True),
        edge("c", "a"),  # a circle
        edge("c", "c", errors=0.0),
    ]
    await console.open(live.server.port, "#/topology?lane=shop%2Fgray&seconds=60")
    ways = console.page.locator(".way")
    await expect(ways).to_have_count(6)
    assert ("seconds=60&lane=shop%2Fgray", "") in live.asked
    titles = await ways.locator("title").all_text_contents()
    assert titles[:2] == [
        "gateway → a, gray: 0.1/s · 50.0 % · 250 ms",
        "a → b, gray: 0.1/s · 50.0 % · 250 ms, Fallback absent",
    ]
    assert titles[3] == "b → c, base: 0.1/s · 50.0 % · 250 ms, tag lost"
    kinds = [(await way.get_attribute("class") or "").split() for way in await ways.all()]
    assert [kind[1:] for kind in kinds[:4]] == [["t0"], ["t0", "fallback"], ["t0"], ["lost", "lost"]]
    boxes = [await node.bounding_box() for node in await console.page.locator(".node").all()]
    assert [box["x"] for box in boxes if box] == sorted(box["x"] for box in boxes if box)  # gateway, a, b, c
    assert await console.command() == (
        f"gateway topology --lane shop/gray --seconds 60 --server 127.0.0.1:{live.server.port}"
    )
    await console.page.get_by_role("button", name="a", exact=True).focus()
    await console.page.keyboard.press("Enter")
    await expect(console.page.locator("tbody tr")).to_have_count(3)
    await console.page.keyboard.press("Enter")
    await console.page.get_by_label("Find").fill("B")
    await expect(console.page.locator("tbody tr")).to_have_count(3)
    await expect(console.page.locator(".node.dim")).to_have_count(3)


async def test_foreign_names_stay_texts_in_the_topology(live: Live, console: Console) -> None:
    live.edges = [edge("gateway", FOREIGN), edge(FOREIGN, "<b>", tag=FOREIGN, pool=FOREIGN, fallback=FOREIGN)]
    await console.open(live.server.port, "#/topology?lane=" + "%3Cimg%20src%3Dx%20onerror%3D%22window.hit%3D1%22%3E")
    await console.sees(FOREIGN)
    await console.is_inert()
    assert await console.page.locator("svg b, svg img, svg script").count() == 0


async def test_a_sidecar_has_the_pages_of_what_it_can_do(live: Live, console: Console) -> None:
    live.role = "sidecar"
    await console.open(live.server.port)
    await expect(console.page.locator("nav a")).to_have_text(["Requests", "Services", "Status"])
    await console.sees("/A/1")


async def test_five_thousand_records_are_taken_without_a_stall(live: Live, console: Console) -> None:
    """Only what is shown is drawn, and only so many are kept."""
    await console.open(live.server.port, "#/requests")
    await expect(console.page.locator(".badge", has_text="live")).to_be_visible()
    for number in range(2, 5002):
        live.add(record(number))
    await console.sees("/A/5001", "2,000 records")
    assert await console.page.locator("tbody tr").count() == 200


async def _is(asked: list[tuple[str, str]], wanted: tuple[str, str]) -> bool:
    return wanted in asked
