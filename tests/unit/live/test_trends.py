"""Requests of late by tag, from counters that are looked at again and again."""

from __future__ import annotations

import pytest

from gateway.live.trends import KEPT, Trends
from gateway.telemetry.counters import Traffic


class Program:
    def __init__(self) -> None:
        self.traffic, self.trends, self.now = Traffic(lambda *_: True), Trends(), 1000.0

    def serve(self, count: int, service: str = "a", tag: str = "base", status: int = 200, took: float = 0.02) -> None:
        for _ in range(count):
            self.traffic.count_exchange(service, tag, status, took, -1.0, received=0, sent=0)

    def look(self, after: float = 10.0) -> None:
        self.now += after
        self.trends.look(self.traffic.exchanges, self.now)


@pytest.fixture
def program() -> Program:
    return Program()


def test_what_came_between_two_looks_is_a_step(program: Program) -> None:
    program.serve(1000)  # before anybody looked
    program.look()
    program.serve(15)
    program.serve(5, status=503, took=0.2)
    program.serve(10, "b", "gray")
    program.look()
    program.look(20.0)
    found = program.trends.describe()
    assert (found["step"], found["times"]) == (10.0, [1020.0, 1040.0])
    base, gray = found["tags"]
    assert (base["tag"], base["rate"], base["errors"]) == ("base", [2.0, 0.0], [0.25, None])
    assert base["p95"] == [pytest.approx(0.22), None]
    assert (gray["tag"], gray["rate"], gray["p95"][0]) == ("gray", [1.0, 0.0], pytest.approx(0.02425))


def test_only_some_services_are_told_if_they_are_named(program: Program) -> None:
    program.look()
    program.serve(10, "a")
    program.serve(20, "b")
    program.serve(30, "c", "gray")
    program.look()
    assert [tag["rate"] for tag in program.trends.describe(["a", "b"])["tags"]] == [[3.0]]
    assert program.trends.describe(["nowhere"])["tags"] == []


def test_looks_that_follow_at_once_count_as_one(program: Program) -> None:
    program.look()
    program.serve(10)
    program.look(5.0)
    program.look(5.0)
    assert program.trends.describe()["tags"][0]["rate"] == [1.0]


def test_a_program_that_counts_anew_has_no_negative_rates(program: Program) -> None:
    program.serve(100)
    program.look()
    program.traffic = Traffic(lambda *_: True)
    program.serve(10)
    program.look()
    assert program.trends.describe()["tags"][0]["rate"] == [1.0]


def test_a_clock_that_is_set_back_begins_anew(program: Program) -> None:
    program.look()
    program.look(-500.0)
    program.serve(10)
    program.look()
    assert program.trends.describe()["tags"][0]["rate"] == [1.0]


def test_ten_minutes_are_kept_and_what_is_idle_takes_no_room(program: Program) -> None:
    program.serve(1)
    program.look()
    program.serve(1)
    program.look()
    assert program.trends.describe()["tags"] != []
    for _ in range(KEPT):
        program.look()
    found = program.trends.describe()
    assert (len(found["times"]), found["tags"]) == (KEPT, [])
