"""May a request be sent once more, and where: the verdict on each fault."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.failures import (
    BUSY,
    CLOSED,
    CLOSED_IN_HEAD,
    CONNECT_ERROR,
    FAULTS,
    REFUSED_MISDIRECTED,
    REFUSED_UNAVAILABLE,
    UNRESPONSIVE,
    Fault,
)
from gateway.instance import Instance
from gateway.proxy.retry import Retry
from gateway.routing.decision import Decision
from gateway.routing.services import ServiceView, Turns
from gateway.routing.verdict import Forward
from tests.support.bounds import RetryBudget
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
