"""Who gets no traffic for a while, for how long, and never too many at once."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from gateway.health.ejection import (
    CHECK,
    CONNECT,
    CONNECT_TIMEOUT,
    ERRORS,
    MISDIRECTED,
    UNAVAILABLE,
    EjectionTerms,
    Ejector,
)
from gateway.instance import UID_KEY, Instance
from gateway.tags import BASE


class Handle:
    def __init__(self, when: float, call: Callable[[], None]) -> None:
        self.when = when
        self.call = call
        self.is_cancelled = False

    def cancel(self) -> None:
        self.is_cancelled = True


class Bench:
    """An ejector on a clock that stands still until it is moved."""

    def __init__(self, terms: EjectionTerms | None = None) -> None:
        self.now = 100.0
        self.changes: list[str] = []
        self.causes: list[str] = []
        self._timers: list[Handle] = []
        self.ejector = Ejector(
            terms or EjectionTerms(connect_failures=2, errors=3, time=10.0, longest=25.0, share=0.5),
            lambda: self.now,
            self._call_later,
            self.changes.append,
            lambda service, instance, cause: self.causes.append(cause),
        )

    def _call_later(self, seconds: float, call: Callable[[], None]) -> Handle:
        self._timers.append(Handle(self.now + seconds, call))
        return self._timers[-1]

    def move(self, seconds: float) -> None:
        self.now += seconds
        for timer in [timer for timer in self._timers if timer.when <= self.now]:
            self._timers.remove(timer)
            if not timer.is_cancelled:
                timer.call()

    def fail(self, instance: Instance, times: int, cause: str = CONNECT) -> None:
        for _ in range(times):
            self.ejector.failed("orders", instance, cause)

    def out(self, *instances: Instance) -> set[int]:
        ejected = self.ejector.ejected("orders", instances)
        return {instance.port for instance in instances if instance.address in ejected}


def instance(port: int, tag: str = BASE, healthy: bool = True) -> Instance:
    return Instance("10.0.0.1", port, tag, healthy=healthy)


ONE, TWO, THREE, FOUR = (instance(port) for port in (1, 2, 3, 4))
ALL = (ONE, TWO, THREE, FOUR)


@pytest.mark.parametrize(("cause", "enough"), [(CONNECT, 2), (ERRORS, 3)])
def test_failures_in_a_row_eject_and_time_lets_in_again(cause: str, enough: int) -> None:
    bench = Bench()
    bench.fail(ONE, enough - 1, cause)
    bench.ejector.succeeded("orders", ONE)
    bench.fail(ONE, enough - 1, cause)
    assert bench.out(*ALL) == set()
    bench.fail(ONE, 1, cause)
    assert bench.out(*ALL) == {1}
    assert (bench.changes, bench.causes) == (["orders"], [cause])
    bench.move(9.9)
    assert bench.out(*ALL) == {1}
    bench.move(0.1)
    assert bench.out(*ALL) == set()
    assert bench.changes == ["orders", "orders"]


def test_an_instance_whose_application_is_down_is_out_at_once_and_never_for_long() -> None:
    bench = Bench()
    gray = instance(5, "gray")
    for _ in range(4):
        bench.fail(gray, 1, UNAVAILABLE)
        assert bench.out(ONE, gray) == {5}
        bench.move(0.9)
        assert bench.out(ONE, gray) == {5}
        bench.move(0.1)
        assert bench.out(ONE, gray) == set()
    assert bench.causes == [UNAVAILABLE] * 4


def test_who_fails_again_soon_is_out_longer_up_to_a_limit() -> None:
    bench = Bench()
    for seconds in (10.0, 20.0, 25.0, 25.0):
        bench.fail(ONE, 2)
        bench.move(seconds - 0.1)
        assert bench.out(*ALL) == {1}
        bench.move(0.1)
        assert bench.out(*ALL) == set()
    bench.move(25.0)
    bench.ejector.succeeded("orders", ONE)
    assert bench.ejector.records == {}  # its past is forgotten
    bench.fail(ONE, 2)
    bench.move(10.0)
    assert bench.out(*ALL) == set()


def test_never_more_than_a_share_of_the_baseline_is_out() -> None:
    bench = Bench()
    for item in ALL:
        bench.fail(item, 3, ERRORS)
        bench.now += 1.0
    assert bench.out(*ALL) == {1, 2}
    assert bench.out(ONE, TWO, THREE) == {1}
    # Those that are unhealthy anyway do not widen the pool.
    assert bench.out(ONE, TWO, instance(3, healthy=False), instance(4, healthy=False)) == {1}


@pytest.mark.parametrize("cause", [CONNECT, UNAVAILABLE])
def test_who_takes_no_requests_anyway_is_out_besides(cause: str) -> None:
    """To leave it in would relieve nobody, and fail requests. The share is one of the others."""
    bench = Bench()
    for item in (ONE, TWO, THREE):
        bench.fail(item, 2, cause)
        bench.now += 0.1
    assert bench.out(*ALL) == {1, 2, 3}
    bench.fail(FOUR, 3, ERRORS)
    assert bench.out(*ALL) == {1, 2, 3}
    five, six = instance(5), instance(6)
    assert bench.out(*ALL, five) == {1, 2, 3, 4}
    bench.fail(five, 3, ERRORS)
    assert bench.out(*ALL, five, six) == {1, 2, 3, 4}


def test_nobody_is_out_besides_if_that_were_everybody() -> None:
    """Then it is more likely the network between here and there, and who is tried may be there again."""
    bench = Bench()
    for item in ALL:
        bench.fail(item, 2)
        bench.now += 1.0
    assert bench.out(*ALL) == {1, 2}


def test_who_is_late_to_accept_connections_may_have_too_much_to_do() -> None:
    """More so if the others are out: the share holds."""
    bench = Bench()
    for item in (ONE, TWO, THREE):
        bench.fail(item, 2, CONNECT_TIMEOUT)
        bench.now += 1.0
    assert bench.out(*ALL) == {1, 2}
    assert bench.causes == [CONNECT_TIMEOUT] * 2


def test_a_lane_may_be_out_whole() -> None:
    """The baseline is behind it. What is out of it does not count for the baseline's share."""
    bench = Bench()
    gray = instance(5, "gray")
    bench.fail(gray, 2)
    bench.now += 1.0
    bench.fail(ONE, 2)
    bench.fail(TWO, 2)
    assert bench.out(ONE, TWO, gray) == {1, 5}
    assert bench.out(gray) == {5}


def test_only_who_is_out_is_said_to_be(caplog: pytest.LogCaptureFixture) -> None:
    bench = Bench()
    bench.fail(ONE, 2)
    assert bench.out(ONE) == set()
    assert bench.causes == []
    assert "10.0.0.1:1 stays in traffic although it does not accept connections" in caplog.text
    assert "is ejected" not in caplog.text
    # A second one comes: now it is a share.
    assert bench.out(ONE, TWO) == {1}
    assert bench.out(ONE, TWO) == {1}
    assert bench.causes == [CONNECT]
    assert "10.0.0.1:1 (tag base) is ejected for 10 s" in caplog.text
    bench.ejector.checked("orders", TWO, False)
    assert bench.out(ONE, TWO) == {1}
    bench.move(10.0)
    assert bench.out(ONE, TWO) == {2}
    assert bench.causes == [CONNECT, CHECK]


def test_a_share_of_one_takes_the_whole_baseline_and_a_share_of_none_nobody() -> None:
    bench = Bench(EjectionTerms(share=1.0))
    bench.fail(ONE, 9)
    assert bench.out(ONE) == {1}
    bench = Bench(EjectionTerms(share=0.0))
    gray = instance(5, "gray")
    bench.fail(gray, 9)
    bench.ejector.checked("orders", gray, False)
    assert bench.out(ONE, gray) == set()


@pytest.mark.parametrize(
    "other",
    [instance(1, "gray"), Instance(ONE.host, ONE.port, metadata={UID_KEY: "another"})],
    ids=["another tag", "another pod"],
)
def test_another_instance_at_the_address_starts_anew(other: Instance) -> None:
    bench = Bench()
    bench.fail(ONE, 2)
    bench.ejector.retain("orders", (other,))
    assert bench.out(other) == set()
    bench.fail(other, 1)
    bench.fail(ONE, 1)  # an exchange that still had the old list
    assert bench.out(other) == bench.out(ONE) == set()


def test_who_refuses_what_is_meant_for_it_is_nobody_for_a_while_and_not_ejected() -> None:
    bench = Bench()
    bench.ejector.refused("orders", ONE)
    bench.ejector.refused("orders", ONE)
    assert bench.ejector.misdirected("orders") == {"10.0.0.1:1"}
    assert bench.ejector.misdirected("other") == set()
    assert bench.out(*ALL) == set()
    assert (bench.changes, bench.causes) == (["orders"], [MISDIRECTED])
    bench.ejector.succeeded("orders", ONE)  # an answer to an earlier request
    assert bench.ejector.misdirected("orders") == {"10.0.0.1:1"}
    bench.move(10.0)
    assert bench.ejector.misdirected("orders") == set()
    assert bench.changes == ["orders", "orders"]


def test_who_refused_is_asked_at_once_if_the_registry_says_something_else() -> None:
    bench = Bench()
    bench.ejector.refused("orders", ONE)
    bench.ejector.retain("orders", (instance(1, "gray"),))
    assert bench.ejector.misdirected("orders") == set()
    bench.move(10.0)
    assert bench.changes == ["orders"]


def test_a_check_decides_until_it_passes() -> None:
    bench = Bench()
    bench.ejector.checked("orders", ONE, True)
    assert bench.ejector.records == {}
    bench.ejector.checked("orders", ONE, False)
    bench.ejector.checked("orders", ONE, False)
    bench.move(1000.0)
    bench.ejector.succeeded("orders", ONE)
    assert bench.out(*ALL) == {1}
    assert bench.causes == [CHECK]
    bench.ejector.checked("orders", ONE, True)
    assert bench.out(*ALL) == set()


def test_time_does_not_let_in_who_fails_its_check() -> None:
    bench = Bench()
    bench.fail(ONE, 2)
    bench.ejector.checked("orders", ONE, False)
    bench.move(1000.0)
    assert bench.out(*ALL) == {1}


def test_who_is_gone_is_forgotten() -> None:
    bench = Bench()
    bench.fail(ONE, 2)
    bench.ejector.retain("orders", (TWO,))
    assert bench.ejector.records == {}
    bench.move(10.0)
    assert bench.changes == ["orders"]


def test_who_the_registry_lets_in_again_is_in_again() -> None:
    """Consul lists an instance whose application is down as critical, Nacos not at all: its return means the same."""
    bench = Bench()
    gray, down = instance(1, "gray"), instance(1, "gray", healthy=False)
    for listed in ((down,), ()):
        bench.fail(gray, 2)
        assert bench.out(gray) == {1}
        bench.ejector.retain("orders", (gray,))
        assert bench.out(gray) == {1}
        bench.ejector.retain("orders", listed)
        bench.ejector.retain("orders", (gray,))
        assert bench.out(gray) == set()
        assert bench.ejector.records == {}


def test_but_not_before_it_passes_its_checks() -> None:
    bench = Bench()
    gray, down = instance(1, "gray"), instance(1, "gray", healthy=False)
    bench.ejector.checked("orders", gray, False)
    bench.ejector.retain("orders", (down,))
    bench.ejector.retain("orders", (gray,))
    assert bench.out(gray) == {1}
    bench.ejector.checked("orders", gray, True)
    assert bench.out(gray) == set()
