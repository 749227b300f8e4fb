"""May a request be sent once more, and where: the verdict on each fault."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from gateway.failures import (
    BUSY,
    CLOSED,
    CLOSED_IN_HEAD,
    CONNECT_ERROR,
    CONNECT_TIMEOUT,
    FAULTS,
    NOT_HTTP2,
    REFUSED_MISDIRECTED,
    REFUSED_STREAM,
    REFUSED_UNAVAILABLE,
    TLS_ERROR,
    UNRESPONSIVE,
    Fault,
)
from gateway.health.ejection import CONNECT, EjectionTerms, Ejector
from gateway.instance import Instance
from gateway.proxy.retry import Retry
from gateway.routing.decision import Decision
from gateway.routing.patience import Patience
from gateway.routing.services import ServiceView, Turns
from gateway.routing.verdict import Forward
from tests.support.bounds import RetryBudget, Timeouts
from tests.support.fakes import Wired

BASE1, BASE2, GRAY = (Instance("192.0.2.10", port, tag) for port, tag in ((1, "base"), (2, "base"), (3, "gray")))


def retry(*instances: Instance, tag: str = "base", method: str = "GET", **budget: Any) -> tuple[Retry, Forward]:
    """The retries of a request that was sent to the first of its pool."""
    wired = Wired()
    wired.context.budget = RetryBudget(**budget)
    decision = Decision(1)
    decision.service, decision.tag = "a", tag
    forward = Forward(decision)
    forward.choose(ServiceView("a", instances, Turns()), "")
    return Retry(wired.context, forward, method), forward


def verdict(case: tuple[Retry, Forward], fault: Fault, is_fresh: bool = True) -> tuple[int, str, bool] | None:
    """The port that is turned to, why the pool is left, and whether on a new connection."""
    again = case[0].after(fault, is_fresh=is_fresh)
    if again is None:
        return None
    again.apply(case[1])
    return again.instance.port, again.fallback, again.is_new


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_what_was_not_processed_goes_to_another_instance_whatever_its_method(method: str) -> None:
    for fault in (CONNECT_ERROR, REFUSED_UNAVAILABLE, REFUSED_MISDIRECTED):
        assert verdict(retry(BASE1, BASE2, method=method), fault) == (2, "", False)


async def test_a_lane_without_another_instance_falls_back_and_says_why() -> None:
    for fault, why in (
        (CONNECT_ERROR, "connect_error"),
        (REFUSED_UNAVAILABLE, "connect_error"),
        (REFUSED_MISDIRECTED, "misdirected"),
    ):
        case = retry(GRAY, BASE1, tag="gray", attempts=1, share=0.0, minimum=0.0)
        assert verdict(case, fault) == (1, why, False)
        assert case[1].decision.pool == "base"


async def test_a_closed_connection_is_a_second_time_only_for_idempotent_methods() -> None:
    assert verdict(retry(BASE1, BASE2), CLOSED) == (2, "", False)
    assert verdict(retry(BASE1, BASE2, method="POST"), CLOSED) is None


async def test_a_kept_connection_that_was_closed_is_made_anew_once_and_without_budget() -> None:
    case = retry(BASE1, BASE2, attempts=1, share=0.0, minimum=0.0)
    assert verdict(case, CLOSED, is_fresh=False) == (1, "", True)
    assert verdict(case, CLOSED, is_fresh=False) is None


@pytest.mark.parametrize("is_fresh", [True, False])
async def test_one_that_does_not_respond_is_left_for_another_instance_by_what_may_be_repeated(is_fresh: bool) -> None:
    """It would not respond on another connection, either."""
    assert verdict(retry(BASE1, BASE2), UNRESPONSIVE, is_fresh=is_fresh) == (2, "", False)
    assert verdict(retry(BASE1), UNRESPONSIVE, is_fresh=is_fresh) is None
    assert verdict(retry(BASE1, BASE2, method="POST"), UNRESPONSIVE, is_fresh=is_fresh) is None
    assert verdict(retry(BASE1, BASE2, share=0.0, minimum=0.0), UNRESPONSIVE, is_fresh=is_fresh) is None
    assert verdict(retry(GRAY, BASE1, tag="gray"), UNRESPONSIVE) == (1, "connect_error", False)


async def test_who_has_met_one_gets_new_connections_elsewhere_too() -> None:
    case = retry(BASE1, BASE2)
    verdict(case, CLOSED, is_fresh=False)
    assert verdict(case, CONNECT_ERROR) == (2, "", True)


async def test_attempts_and_the_budget_are_bounds() -> None:
    assert verdict(retry(BASE1, BASE2, attempts=1), CONNECT_ERROR) is None
    case = retry(BASE1, BASE2, share=0.0, minimum=0.0)
    assert verdict(case, CONNECT_ERROR) is None
    assert case[0]._context.traffic.retries_denied == {"a": 1}


async def test_the_baseline_after_a_closed_connection_costs_budget() -> None:
    assert verdict(retry(GRAY, BASE1, tag="gray"), CLOSED) == (1, "connect_error", False)
    assert verdict(retry(GRAY, BASE1, tag="gray", share=0.0, minimum=0.0), CLOSED) is None


MANY = tuple(Instance("192.0.2.10", port) for port in range(1, 10))
GRAYS = tuple(Instance("192.0.2.11", port, "gray") for port in range(1, 6))


def remembering(case: tuple[Retry, Forward], **terms: Any) -> Ejector:
    """Has it remembered who fails."""
    context = case[0]._context
    context.ejector = Ejector(
        EjectionTerms(**terms), context.loop.time, context.loop.call_later, lambda service: None, lambda *of: None
    )
    return context.ejector


def tried_after(case: tuple[Retry, Forward], fault: Fault) -> list[int]:
    """The ports that are turned to in turn, each of which fails in the same way."""
    ports = []
    while (again := verdict(case, fault)) is not None:
        ports.append(again[0])
    return ports


@pytest.mark.parametrize("fault", [CONNECT_ERROR, REFUSED_UNAVAILABLE])
async def test_instances_that_accept_nothing_are_passed_by_until_each_was_tried_once(fault: Fault) -> None:
    case = retry(*MANY, attempts=2, share=0.0, minimum=0.0)
    remembering(case)
    assert tried_after(case, fault) == [2, 3, 4, 5, 6, 7, 8, 9]
    assert case[0]._context.traffic.retries == {("a", fault.kind): 8}


async def test_the_attempts_are_for_what_follows() -> None:
    case = retry(*MANY, attempts=2)
    remembering(case)
    assert [verdict(case, fault) for fault in (CONNECT_ERROR, CLOSED, CONNECT_ERROR, CLOSED)] == [
        (2, "", False),
        (3, "", False),
        (4, "", False),
        None,
    ]


@pytest.mark.parametrize("fault", [CONNECT_TIMEOUT, TLS_ERROR, NOT_HTTP2, REFUSED_STREAM])
async def test_what_takes_long_or_loads_the_instance_is_an_attempt(fault: Fault) -> None:
    case = retry(*MANY)
    remembering(case)
    turned_to = [port for port in tried_after(case, fault) if port != 1]
    assert turned_to == [2, 3]
    case = retry(*MANY, share=0.0, minimum=0.0)
    remembering(case)
    assert 2 not in tried_after(case, fault)


async def test_the_baseline_is_after_the_whole_pool_of_a_lane_and_is_tried_whole_itself() -> None:
    case = retry(*GRAYS, *MANY[:4], tag="gray", attempts=2, share=0.0, minimum=0.0)
    remembering(case)
    assert tried_after(case, CONNECT_ERROR) == [2, 3, 4, 5, 1, 2, 3, 4]
    assert case[1].decision.fallback == "connect_error"


@pytest.mark.parametrize("is_of_route", [False, True])
async def test_one_attempt_is_one_instance_and_a_lane_falls_back(is_of_route: bool) -> None:
    case = retry(*GRAYS, *MANY, tag="gray", attempts=3 if is_of_route else 1)
    if is_of_route:
        case[1].decision.patience = Patience(Timeouts(), 1, {})
    remembering(case)
    assert tried_after(case, CONNECT_ERROR) == [1]
    assert case[1].decision.fallback == "connect_error"


async def test_who_is_known_to_accept_nothing_is_tried_after_all_others_as_an_attempt() -> None:
    """Of a pool that is down as a whole, every request would try the whole."""
    case = retry(*MANY)
    ejector = remembering(case, connect_failures=1)
    for instance in MANY[1:]:
        if instance.port not in (5, 8):
            ejector.failed("a", instance, CONNECT)
    assert tried_after(case, CONNECT_ERROR) == [5, 8, 9, 2]
    assert not case[0]._context.traffic.retries_denied


async def test_a_pool_that_is_down_is_not_searched_by_every_request() -> None:
    """With weights its order is up to a hundred times as long as the pool, and each place was compared with all who are out."""
    weighted = tuple(Instance("192.0.2.10", port, weight=1.0 if port % 2 else 100.0) for port in range(1, 10))
    case = retry(*weighted)
    ejector = remembering(case, connect_failures=1)
    for instance in weighted:
        ejector.failed("a", instance, CONNECT)
    turn = case[1]._pool._turn
    before = turn.count
    assert case[1].other_but(lambda instance: ejector.is_out("a", instance)) is None
    assert turn.count == before


async def test_without_ejection_nobody_is_known_and_each_is_an_attempt() -> None:
    case = retry(*MANY)
    remembering(case, share=0.0)
    assert tried_after(case, CONNECT_ERROR) == [2, 3]


@pytest.mark.parametrize("own", [None, 5.0], ids=["the gateway's", "the route's"])
async def test_slow_refusals_are_attempts_once_a_connection_should_have_been_made(own: float | None) -> None:
    case = retry(*MANY, attempts=2)
    context = case[0]._context
    remembering(case)
    if own is not None:
        case[1].decision.patience = Patience(Timeouts(connect=own), 0, {})
    longest = own or context.timeouts.connect
    times = [50.0]
    clock: Any = SimpleNamespace(time=lambda: times[-1])
    context.loop = clock
    ports = []
    for later in (0.0, longest, 0.1, 0.1):
        times.append(times[-1] + later)
        again = verdict(case, CONNECT_ERROR)
        ports.append(again and again[0])
    assert ports == [2, 3, 4, None]


@pytest.mark.parametrize(
    "fault",
    [fault for fault in FAULTS.values() if not fault.is_safe_to_retry and fault not in (CLOSED, UNRESPONSIVE)],
)
async def test_nothing_else_is_tried_again(fault: Fault) -> None:
    assert verdict(retry(BASE1, BASE2), fault) is None


def test_safe_to_retry_is_what_no_instance_has_begun() -> None:
    assert {kind for kind, fault in FAULTS.items() if fault.is_safe_to_retry} == {
        "connect_error",
        "connect_timeout",
        "tls_error",
        "certificate_refused",
        "misdirected",
        "unavailable",
        "not_http2",
        "refused_stream",
    }
    assert not BUSY.is_safe_to_retry
    assert not CLOSED_IN_HEAD.is_safe_to_retry
