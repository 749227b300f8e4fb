"""Lanes that expire: warned of beforehand, closed in time, and again if that fails."""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from types import SimpleNamespace

import pytest

from gateway.control import expiry
from gateway.control.expiry import LONGEST_WAIT, WARNING, ExpiryTimer, expiries, expiry_notes, next_look, schedule_notes
from gateway.errors import ConfigError, Problem
from gateway.rules.model import LaneGroup
from gateway.rules.ruleset import RuleSet
from tests.support.rules import rule_set
from tests.support.wait import until

NOW = 1_800_000_000.0


def rules(*after: float | None, **lane: object) -> RuleSet:
    """A lane for each of these numbers of seconds after which it expires; None: never."""
    lanes = [
        {
            "name": f"lane{number}",
            "tag": "gray",
            "match": [{"param": "a", "equals": "b"}],
            **({} if seconds is None else {"expires": datetime.fromtimestamp(NOW + seconds, UTC).isoformat()}),
            **lane,
        }
        for number, seconds in enumerate(after)
    ]
    return rule_set([LaneGroup.model_validate({"name": "g", "services": ["a"], "lanes": lanes})])


@pytest.mark.parametrize(
    ("after", "seconds"),
    [
        ((), None),
        ((None,), None),
        ((-1,), None),
        ((60,), 60.0),
        ((None, 500, 60), 60.0),
        ((WARNING + 100,), 100.0),
        ((WARNING + 2 * LONGEST_WAIT,), LONGEST_WAIT),
        ((WARNING - 10,), LONGEST_WAIT),
    ],
)
def test_the_next_look_is_when_a_lane_closes_or_should_be_warned_of(
    after: tuple[float | None, ...], seconds: float | None
) -> None:
    assert next_look(rules(*after), NOW) == seconds


def test_when_lanes_expire_by_group_and_name() -> None:
    assert expiries(rules(60, None, 90)) == {("g", "lane0"): NOW + 60, ("g", "lane2"): NOW + 90}


@pytest.mark.parametrize(
    ("after", "note"),
    [
        (-1, "lane g/lane0 (owner: alice) expired at 2027-01-15T07:59:59+00:00 and is closed"),
        (600, "lane g/lane0 (owner: alice) expires at 2027-01-15T08:10:00+00:00, in 10 minutes"),
        (10_000, "lane g/lane0 (owner: alice) expires at 2027-01-15T10:46:40+00:00, in 3 hours"),
        (200_000, "lane g/lane0 (owner: alice) expires at 2027-01-17T15:33:20+00:00, in 2 days"),
    ],
)
def test_a_lane_that_is_about_to_expire_is_warned_of(after: float, note: str) -> None:
    assert expiry_notes(rules(after, owner="alice"), NOW) == [note]
    assert expiry_notes(rules(after, owner="alice", enabled=False), NOW) == []


def test_a_lane_that_expires_some_day_is_not_warned_of() -> None:
    assert expiry_notes(rules(WARNING), NOW) == []


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(expiry, "LATER", 0.0)
    monkeypatch.setattr(expiry, "RETRY", 0.0)
    monkeypatch.setattr(expiry, "next_look", lambda rules, now: 0.0 if rules.groups else None)


def growing(start: float, **values: object) -> RuleSet:
    """A lane that starts to grow after so many seconds."""
    plan = {"start": datetime.fromtimestamp(NOW + start, UTC).isoformat(), "steps": [1, 10], "over": "2h", **values}
    return rules(None, match=[{"cookie": "uid", "percent": 50}], schedule=plan)


@pytest.mark.parametrize(
    ("start", "seconds"), [(100, 100.0), (0, 3600.0), (-3600, 3600.0), (-7200, None), (2 * LONGEST_WAIT, LONGEST_WAIT)]
)
def test_the_next_look_is_when_a_lane_grows(start: float, seconds: float | None) -> None:
    assert next_look(growing(start), NOW) == seconds
    assert next_look(growing(start, hold=0), NOW) is None


def test_what_a_lane_takes_by_its_schedule_is_said_as_long_as_that_changes() -> None:
    note = "lane g/lane0 by its schedule: 1 % now, 10 % from 2027-01-15T09:00:00Z"
    assert schedule_notes(growing(0), NOW) == [note]
    assert schedule_notes(growing(-7200), NOW) == schedule_notes(rules(60), NOW) == []


async def test_what_cannot_be_closed_is_tried_again(at_once: None, caplog: pytest.LogCaptureFixture) -> None:
    errors: list[Exception] = [ConfigError([Problem("a.pem", 0, 0, "cannot be read")]), KeyError("a bug")]

    async def compile_again() -> None:
        if errors:
            raise errors.pop(0)
        timer.look(RuleSet())
        done.append(True)

    done: list[bool] = []
    timer = ExpiryTimer(compile_again)
    timer.look(rules(60))
    await until(lambda: done)
    records = [record for record in caplog.records if record.levelno == logging.ERROR]
    # The traceback of a bug, and of no file that is being changed.
    assert [bool(record.exc_info) for record in records] == [False, True]
    assert (
        records[0].getMessage()
        == "lanes that have expired or should grow stay as they are for now: a.pem: cannot be read"
    )
    timer.close()


async def test_nothing_happens_after_the_end(at_once: None) -> None:
    compiled: list[int] = []

    async def compile_again() -> None:
        compiled.append(1)

    timer = ExpiryTimer(compile_again)
    timer.look(rules(60))
    timer.close()
    other = ExpiryTimer(compile_again)
    other.look(rules(60))
    await until(lambda: compiled)
    assert compiled == [1]
    other.close()


@pytest.mark.parametrize("jump", [86_400.0, -86_400.0], ids=["forward", "back"])
async def test_a_clock_that_is_set_counts_at_once_and_not_when_the_timer_ends(
    monkeypatch: pytest.MonkeyPatch, jump: float
) -> None:
    """And if a machine has slept, while timers stood still."""
    clock, looks = NOW, 0

    def now() -> float:
        nonlocal looks
        looks += 1
        return clock

    monkeypatch.setattr(expiry, "time", SimpleNamespace(time=now))
    monkeypatch.setattr(expiry, "CLOCK", 0.001)
    seen: list[float] = []

    async def compile_again() -> None:
        seen.append(clock)
        timer.look(rules(3600))

    timer = ExpiryTimer(compile_again)
    timer.look(rules(3600))
    await until(lambda: looks > 10)
    assert seen == []
    clock += jump
    await until(lambda: seen)
    timer.close()
    assert seen[0] == clock
