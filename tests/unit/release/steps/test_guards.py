"""A verification fails with the guard of a lane of its order, and waits for it if it is told to."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gateway.release.states import State
from tests.support.releases import Bench, task_of

LANE = ("demo", "gray")
OPEN = "lane: {group: demo, lane: gray, action: open}"


def workflow(*steps: str) -> dict[str, str]:
    lines = "".join(f"      - {step}\n" for step in steps)
    return {"workflows/release.yaml": f"stages:\n  - name: only\n    steps:\n{lines}"}


def guard(state: str | None, windows: int = 0, **values: Any) -> dict[tuple[str, str], dict[str, Any]]:
    return {LANE: {"then": "close", "state": state, "windows": windows, **values}}


async def test_a_verification_fails_if_a_guard_has_acted(tmp_path: Path) -> None:
    step = "verify: {analysis: {duration: 1h, services: [service-a]}}"
    async with Bench(tmp_path, workflow(OPEN, step)) as bench:
        bench.mesh.guarded = guard("good", 9)
        number = await bench.run(a="1")
        for _ in range(12):
            await bench.server.engine.look(number)
        assert task_of(bench.server.ledger.active[number], "verify").state is State.RUNNING
        bench.mesh.guarded = guard("tripped", outcome="closed", reason="too many errors")
        order = await bench.drive(number)
        assert (order.state, task_of(order, "verify").message) == (
            State.FAILED,
            "the guard of lane demo/gray at 127.0.0.1:9900 found it worse than the baseline, it is closed: too many errors",
        )


async def test_a_verification_waits_until_a_guard_has_found_the_lane_good_twice(tmp_path: Path) -> None:
    async with Bench(tmp_path, workflow(OPEN, "verify: {guard: 10m}")) as bench:
        bench.mesh.guarded = guard(None)
        number = await bench.run(a="1")
        for state, windows in ((None, 0), ("undecided", 1), ("good", 1), ("worse", 1)):
            bench.mesh.guarded = guard(state, windows)
            for _ in range(12):
                await bench.server.engine.look(number)
            task = task_of(bench.server.ledger.active[number], "verify")
            assert (task.state, task.message) == (State.RUNNING, "waits for the guard of demo/gray")
        bench.mesh.guarded = guard("good", 2)
        assert (await bench.drive(number)).state is State.SUCCESS


async def test_a_guard_without_a_verdict_is_not_waited_for_for_ever(tmp_path: Path) -> None:
    async with Bench(tmp_path, workflow(OPEN, "verify: {guard: 10m}")) as bench:
        bench.mesh.guarded = guard("undecided", 1)
        number = await bench.run(a="1")
        for _ in range(12):
            await bench.server.engine.look(number)
        bench.clock += 601
        order = await bench.drive(number)
        message = "no verdict within 600 s on demo/gray: too few requests, or not good enough"
        assert (order.state, task_of(order, "verify").message) == (State.FAILED, message)


@pytest.mark.parametrize(
    ("steps", "message"),
    [
        ((OPEN, "verify: {guard: 10m}"), "`guard` waits for guards, but no gateway has one of demo/gray"),
        (
            ("verify: {guard: 10m}",),
            "`guard` waits for the guards of the order's lanes, but it opens none at any gateway",
        ),
    ],
)
async def test_there_must_be_a_guard_to_wait_for(tmp_path: Path, steps: tuple[str, ...], message: str) -> None:
    async with Bench(tmp_path, workflow(*steps)) as bench:
        order = await bench.drive(await bench.run(a="1"))
        assert (order.state, task_of(order, "verify").message) == (State.FAILED, message)
