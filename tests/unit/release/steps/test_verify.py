"""What a verification looks at: counts of the lane beside those of the baseline."""

from __future__ import annotations

from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from gateway.release.mesh import Sample
from gateway.release.model import Analysis
from gateway.release.states import State
from gateway.release.steps.verify import count, judge
from tests.support.releases import Bench, task_of

ANALYSIS = Analysis.model_validate({"duration": "1m", "max_errors": "0.01", "max_p95_ratio": "2"})


def counted(tag: str, fine: int, errors: int, quick: int) -> dict[str, dict[str, float]]:
    total = float(fine + errors)
    return {tag: {"requests": total, "errors": float(errors), "0.1": float(quick), "0.5": total, "+Inf": total}}


def test_a_lane_like_the_baseline_is_fine() -> None:
    after = counted("gray", 100, 0, 99) | counted("base", 1000, 1, 990)
    wrong, said = judge(ANALYSIS, {}, after)
    assert wrong == ""
    assert said == "gray: 100 requests, 0.00% errors, p95 up to 100 ms; baseline: 1001, 0.10%, 100 ms"


def test_only_what_was_counted_meanwhile_is_judged() -> None:
    before = counted("gray", 100, 50, 10) | counted("base", 10, 0, 10)
    after = counted("gray", 200, 50, 110) | counted("base", 20, 0, 20)
    assert judge(ANALYSIS, before, after)[0] == ""


def test_too_many_errors_too_slow_too_few() -> None:
    base = counted("base", 1000, 0, 1000)
    assert judge(ANALYSIS, {}, counted("gray", 95, 5, 100) | base)[0].startswith(
        "too many errors; gray: 100 requests, 5.00%"
    )
    assert judge(ANALYSIS, {}, counted("gray", 100, 0, 50) | base)[0].startswith("too slow; gray: 100 requests")
    assert judge(ANALYSIS, {}, counted("gray", 3, 0, 3) | base)[0].startswith(
        "3 requests are too few to judge by, 10 are needed"
    )


def test_samples_are_added_up_by_tag_and_service() -> None:
    labels = {"listener": "entry", "service": "shop", "tag": "gray"}
    samples = [
        Sample("gateway_requests_total", labels | {"code": "200"}, 5),
        Sample("gateway_requests_total", labels | {"code": "502"}, 2),
        Sample("gateway_requests_total", labels | {"code": "200", "service": "other"}, 9),
        Sample("gateway_failed_requests_total", labels, 3),
        Sample("gateway_failed_requests_total", labels | {"service": "other"}, 9),
        Sample("gateway_request_duration_seconds_bucket", labels | {"le": "0.1"}, 7),
    ]
    assert count(samples, {"shop"}, {"gray"}) == {"gray": {"requests": 7, "errors": 3, "0.1": 7}}


ANALYSIS_STEP = """\
stages:
  - name: only
    steps:
      - verify: {analysis: {duration: 1m, services: [service-a], min_requests: 5}}
"""


def page(gray: int, errors: int) -> list[Sample]:
    def of(tag: str, requests: int, failed: int) -> list[Sample]:
        labels = {"listener": "entry", "service": "service-a", "tag": tag}
        return [
            Sample("gateway_requests_total", labels | {"code": "200"}, requests),
            Sample("gateway_failed_requests_total", labels, failed),
        ]

    return [*of("gray", gray + errors, errors), *of("base", 100, 0)]


@pytest.mark.parametrize(
    ("errors", "state", "message"),
    [
        (0, State.SUCCESS, "gray: 10 requests, 0.00% errors"),
        (5, State.FAILED, "too many errors; gray: 15 requests, 33.33%"),
    ],
)
async def test_an_analysis_compares_what_was_counted_while_it_lasts(
    tmp_path: Path, errors: int, state: State, message: str
) -> None:
    async with Bench(tmp_path, {"workflows/release.yaml": ANALYSIS_STEP}) as bench:
        bench.mesh.counted = [page(100, 50), page(110, 50 + errors)]
        number = await bench.run(a="1")
        for _ in range(6):
            await bench.server.engine.look(number)
        assert bench.server.ledger.active[number].state is State.RUNNING
        bench.clock += 61
        order = await bench.drive(number)
        assert (order.state, task_of(order, "verify").message[: len(message)]) == (state, message)


@pytest.mark.parametrize(("value", "state"), [("0.5", State.SUCCESS), ("1.5", State.FAILED), ("NaN", State.FAILED)])
async def test_prometheus_is_asked_for_one_value(tmp_path: Path, value: str, state: State) -> None:
    async def query(request: web.Request) -> web.Response:
        assert request.query["query"] == "errors"
        return web.json_response({"data": {"result": [{"value": [1, value]}]}})

    app = web.Application()
    app.router.add_get("/api/v1/query", query)
    async with TestServer(app) as server:
        step = f"verify: {{prometheus: {{url: '{server.make_url('')}', query: errors, max: 1}}}}"
        workflow = f"stages:\n  - name: only\n    steps:\n      - {step}\n"
        async with Bench(tmp_path, {"workflows/release.yaml": workflow}) as bench:
            assert (await bench.drive(await bench.run(a="1"))).state is state


async def test_an_abort_waits_for_a_few_probes_only(tmp_path: Path) -> None:
    """However many there are: an entry that hangs must not keep the traffic in the lane."""
    asked: list[str] = []

    async def shop(request: web.Request) -> web.Response:
        asked.append(request.path)
        return web.Response(status=500 if len(asked) == 1 else 200)

    app = web.Application()
    app.router.add_get("/shop", shop)
    async with TestServer(app) as server:
        step = "verify: {probes: [{path: /shop, count: 35, share: 0.9}]}"
        workflow = f"stages:\n  - name: only\n    steps:\n      - {step}\n"
        async with Bench(tmp_path, {"workflows/release.yaml": workflow}) as bench:
            entry = str(server.make_url("")).rstrip("/")
            bench.server.config.settings.__dict__["entry"] = entry
            number = await bench.run(a="1")
            counts = []
            while number in bench.server.ledger.active:
                before = len(asked)
                await bench.server.engine.look(number)
                counts.append(len(asked) - before)
            order = await bench.store.order(number)
            assert order is not None
            assert ([item for item in counts if item], order.state) == ([10, 10, 10, 5], State.SUCCESS)
            assert task_of(order, "verify").message == "35 probes were as they should be"
