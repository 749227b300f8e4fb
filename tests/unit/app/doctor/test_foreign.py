"""What is at an address may be another program: whatever it says is a finding, and nothing is raised."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web

from gateway.app.doctor.finding import FAILED
from gateway.app.doctor.propagation import check_propagation
from gateway.app.doctor.remote import (
    ask_all,
    check_beside,
    check_in_step,
    check_lost_tags,
    check_running,
    check_signatures,
    find_sidecars,
)

STATUS: dict[str, Any] = {"role": "entry", "revision": 1}
RECORD: dict[str, Any] = {
    "listener": "entry",
    "time": 1.0,
    "duration_us": 1,
    "reporter": {"name": "gateway", "address": "g:1"},
    "service": "a",
    "instance": "a:1",
    "tag": "gray",
    "tag_source": "rule",
    "pool": "gray",
    "fallback": None,
    "lost": None,
    "status": 200,
    "cause": None,
}


class Foreign:
    """Says what the test has it say, by the path's end."""

    def __init__(self) -> None:
        self.says: dict[str, Any] = {"status": STATUS, "lanes": {"lanes": []}, "services": {"services": []}}
        self.date = "Mon, 01 Jan 2001 00:00:00 GMT"
        self.address = ""
        self.status = 200

    async def handle(self, request: web.Request) -> web.Response:
        name = (
            "chains"
            if request.path.count("/chains/") and request.path[-7:] != "/beside"
            else request.path.rpartition("/")[2]
        )
        said = self.says.get(name, {})
        text = said if isinstance(said, str) else json.dumps(said)
        return web.Response(status=self.status, text=text, headers={"Date": self.date})


@pytest.fixture
async def foreign() -> AsyncIterator[Foreign]:
    found = Foreign()
    app = web.Application()
    app.router.add_get("/{path:.*}", found.handle)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    found.address = f"127.0.0.1:{runner.addresses[0][1]}"
    yield found
    await runner.cleanup()


@pytest.mark.parametrize(
    ("name", "said", "says"),
    [
        ("status", [], "status: expected an object, got a list"),
        ("status", {**STATUS, "revision": "x"}, 'status.revision: expected a whole number, got "x"'),
        ("status", {**STATUS, "last_reload_error": "x"}, 'status.last_reload_error: expected a list, got "x"'),
        ("status", {**STATUS, "last_reload_error": [1]}, "status.last_reload_error[0]: expected a text, got 1"),
        ("status", {**STATUS, "lost_tags": [[]]}, "status.lost_tags[0]: expected an object, got a list"),
        ("status", {**STATUS, "signatures": {"why": 1}}, "status.signatures: expected a list, got an object"),
        ("status", {**STATUS, "registered_beside": 3}, "status.registered_beside: expected a list, got 3"),
        ("status", "[" * 100_000, "the JSON is nested too deeply"),
        ("status", '{"revision": 1e999}', "the JSON has the number 1e999"),
        ("lanes", {"lanes": None}, "lanes.lanes: expected a list, got null"),
        ("lanes", {}, "lanes.lanes is missing"),
        ("services", {"services": ["x"]}, 'services.services[0]: expected an object, got "x"'),
    ],
)
async def test_a_program_that_says_something_else_is_told_so(foreign: Foreign, name: str, said: Any, says: str) -> None:
    foreign.says[name] = said
    [found] = await ask_all([foreign.address], None, 0.0)
    assert found.error == says
    checks = (check_running, check_lost_tags, check_signatures, check_beside)
    findings = [finding for check in checks for finding in check([found])]
    assert [(item.subject, item.state) for item in findings] == [(foreign.address, FAILED)]
    assert (find_sidecars(found)[0], list(check_in_step(found, [found]))) == ([], [])


@pytest.mark.parametrize("date", ["x", "Mon, 01 Jan 2001 00:00:00 +9999999999999999999"])
async def test_a_clock_that_nobody_can_have_is_told(foreign: Foreign, date: str) -> None:
    foreign.date = date
    [found] = await ask_all([foreign.address], None, 0.0)
    assert found.error


@pytest.mark.parametrize(
    ("name", "said", "says"),
    [
        ("services", {"services": {}}, "services: expected a list, got an object"),
        ("chains", {"hops": [{**RECORD, "tag": None}]}, "hops[0].tag: expected a text, got null"),
        ("chains", {"hops": [{**RECORD, "calls": [{}]}]}, "hops[0].calls[0].listener is missing"),
        (
            "chains",
            {"hops": [{**RECORD, "time": "x"}]},
            'hops[0].time: expected a number that is not too large, got "x"',
        ),
        ("beside", {"requests": [{**RECORD, "reporter": []}]}, "requests[0].reporter: expected an object, got a list"),
        ("beside", [], "the JSON: expected an object, got a list"),
    ],
)
async def test_a_collector_that_says_something_else_is_told_so(
    foreign: Foreign, name: str, said: Any, says: str
) -> None:
    foreign.says |= {"chains": {"hops": [RECORD]}, "beside": {"requests": []}, name: said}
    url = f"http://{foreign.address}/"
    [found] = await check_propagation(url, [], foreign.address, None, 0.0)
    assert (found.subject, found.state, found.message) == (foreign.address, FAILED, f"cannot be asked: {says}")


@pytest.mark.parametrize(
    ("said", "says"), [({"detail": "away"}, "away"), ([1], "it responds with 503"), ({}, "it responds with 503")]
)
async def test_one_that_refuses_says_why_or_nothing(foreign: Foreign, said: Any, says: str) -> None:
    foreign.status = 503
    foreign.says = {"status": said, "lanes": said, "services": said}
    [found] = await ask_all([foreign.address], None, 0.0)
    assert found.error == says
    [_, refused] = await check_propagation(f"http://{foreign.address}/", [], foreign.address, None, 0.0)
    assert refused.message == f"cannot be asked: {says}"
