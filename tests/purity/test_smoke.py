"""The harness itself: that it judges, and a few faults in a fixed order, which nobody may notice."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.purity.application import MODES, modes_for
from tests.purity.faults import AROUND, INSTANCES, lose_service
from tests.purity.judge import CLOSED, Judge, Violation
from tests.purity.run import Churn, is_clean, table

GRAY, BASE, LATE = "a.gray.4 > b.base.2 > c.gray.5", "a.base.1 > b.base.2 > c.base.3", "a.gray.4 > b.base.2 > c.base.3"


async def test_nobody_leaves_the_lane_because_all_of_a_service_is_gone_for_a_moment(tmp_path: Path) -> None:
    """The quickest fault of all. What is drawn comes from a fixed seed."""
    said: list[str] = []
    churn = Churn(tmp_path, "embedded", 1, 80.0, said.append)
    judge = await churn.run(0, [lose_service])
    assert is_clean(judge), "\n".join(said)
    assert judge.counts["held to gray"] > 0
    assert judge.counts["failed, excused"] > 5
    assert f"{judge.counts['requests']:,}" in table(judge)


@pytest.fixture
def judge() -> Judge:
    reported: list[Violation] = []
    judge = Judge(lambda: 10.0, reported.append)
    assert judge.violations == reported
    return judge


def kinds(judge: Judge) -> list[str]:
    return [violation.kind for violation in judge.violations]


@pytest.mark.parametrize(
    ("is_marked", "answer", "kind"),
    [
        (True, GRAY, None),
        (False, BASE, None),
        (False, LATE, "unmarked on gray"),
        (True, BASE, "marked not on gray"),
        (True, LATE, "marked not on gray"),
        (True, "a.gray.4 > c.gray.5", "wrong service"),
        (True, "a.gray.4 > a.gray.4 > c.gray.5", "wrong service"),
    ],
)
def test_what_is_wrong_while_all_is_well(judge: Judge, is_marked: bool, answer: str, kind: str | None) -> None:
    judge.require("a")
    judge.require("c")
    judge.answer(judge.send(is_marked, "t"), 200, answer)
    assert kinds(judge) == ([kind] if kind else [])
    assert is_clean(judge) == (kind is None)


def test_marked_requests_are_held_to_gray_only_if_it_was_usable_all_the_time(judge: Judge) -> None:
    early = judge.send(True, "t")
    judge.require("a")
    judge.answer(early, 200, BASE)
    broken = judge.send(True, "t")
    judge.release("a")
    judge.require("a")
    judge.answer(broken, 200, BASE)
    assert kinds(judge) == []


def test_unmarked_requests_are_never_excused(judge: Judge) -> None:
    with judge.trouble("a kill"):
        judge.answer(judge.send(False, "t"), 200, GRAY)
    assert kinds(judge) == ["unmarked on gray"]


def test_failures_are_excused_only_beside_a_fault_that_breaks_requests(judge: Judge) -> None:
    sent = judge.send(False, "t")
    with judge.trouble("a kill"):
        during = judge.send(False, "t")
    judge.answer(sent, 502, 'got 502 from b: {"code": "connect_failed"}')
    judge.answer(during, 0, "reset")
    assert (kinds(judge), judge.counts["failed, excused"]) == ([], 2)
    assert judge.counts["failed, excused: connect_failed"] == judge.counts["failed, excused: no code"] == 1
    judge.note("something else")
    judge.answer(judge.send(False, "t"), 503, "why")
    assert kinds(judge) == ["failed"]
    assert "503 why" in str(judge.violations[0])
    assert "something else" in str(judge.violations[0])


def test_nobody_is_on_gray_of_a_closed_lane(judge: Judge) -> None:
    judge.require(CLOSED)
    judge.answer(judge.send(True, "t"), 200, BASE)
    assert kinds(judge) == []
    judge.answer(judge.send(True, "t"), 200, GRAY)
    assert kinds(judge) == ["on gray though the lane is closed"]


def test_no_application_is_to_forward_a_trace_that_ended_before_it() -> None:
    assert "traceparent" in modes_for(None)
    assert "traceparent" in modes_for("agent")
    assert "traceparent" not in modes_for("header")
    assert all("nothing" not in modes_for(mode) for mode in MODES)


async def test_every_fault_is_drawn() -> None:
    """A fault that is in no list is never inflicted."""
    import tests.purity.faults as module

    listed = {fault.__name__ for fault in (*INSTANCES, *AROUND)}
    named = {
        name
        for name, value in vars(module).items()
        if asyncio.iscoroutinefunction(value) and value.__module__ == module.__name__ and not name.startswith("_")
    }
    assert named - {"inflict", "inflict_one"} == listed
