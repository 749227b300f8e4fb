"""Recorded counters are replayed: which windows they make, what each says, and after which the guard acts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from gateway.control.guard.judge import GOOD, UNDECIDED, Pair, Terms
from gateway.control.guard.watch import LaneWatch, looked, terms_of
from gateway.rules.guard import Guard
from gateway.telemetry.counters import Traffic
from gateway.telemetry.counts import Counts

RECORDED: list[dict[str, Any]] = json.loads((Path(__file__).parent / "recorded.json").read_text())


def pair(look: dict[str, Any]) -> dict[str, Pair]:
    return {"a": Pair(Counts(*look["lane"]), Counts(*look["base"]))}


@pytest.mark.parametrize("record", RECORDED, ids=[record["name"] for record in RECORDED])
def test_recorded_counters_have_the_expected_verdicts(record: dict[str, Any]) -> None:
    first, *looks = record["looks"]
    watch = LaneWatch(Terms(**record["terms"]), 60.0, first["at"], pair(first))
    for look in looks:
        verdicts: list[str] = []
        acts = watch.take(look["at"], pair(look), verdicts.append)
        expected = [look["verdict"]] if "verdict" in look else []
        assert (look["at"], verdicts, acts) == (look["at"], expected, look.get("acts", False))


def test_before_the_first_window_nothing_is_known() -> None:
    watch = LaneWatch(Terms(0.02, None, 50), 60.0, 0.0, {})
    assert not watch.take(59.9, {})
    assert (watch.verdict.state, watch.in_a_row, watch.is_good) == (UNDECIDED, 0, False)


def test_good_is_who_was_good_twice() -> None:
    watch = LaneWatch(Terms(0.02, None, 50), 60.0, 0.0, {})
    sound = Counts(60), Counts(120)
    watch.take(60.0, {"a": Pair(sound[0], sound[0])})
    assert (watch.verdict.state, watch.is_good) == (GOOD, False)
    watch.take(120.0, {"a": Pair(sound[1], sound[1])})
    assert watch.is_good


def test_the_counters_of_the_groups_services_are_looked_at() -> None:
    traffic = Traffic(lambda *_: True)
    for service, tag, status in (("a", "gray", 500), ("a", "base", 200), ("b", "gray", 200), ("a", "blue", 200)):
        traffic.count_exchange(service, tag, status, 0.0001, -1.0, received=0, sent=0)
    one = (1, *[0] * 13)
    assert looked(traffic.exchanges, ["a"], "gray") == {"a": Pair(Counts(1, 1, one), Counts(1, 0, one))}
    assert looked(traffic.exchanges, [], "gray")["b"] == Pair(Counts(1, 0, one), Counts())


def test_the_terms_of_a_guard() -> None:
    guard = Guard.model_validate({"errors": "+2.5%", "p95": "x1.5", "then": "warn"})
    assert terms_of(guard) == Terms(0.025, 1.5, 50)


def test_a_clock_that_is_put_back_holds_up_no_window() -> None:
    watch = LaneWatch(Terms(0.02, None, 50), 60.0, 1e9, {})
    assert not watch.take(1e9 - 86_400, {})
    sound = Counts(60)
    watch.take(1e9 - 86_400 + 60, {"a": Pair(sound, sound)})
    assert watch.verdict.state == GOOD
