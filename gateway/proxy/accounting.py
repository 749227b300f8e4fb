"""What an exchange that ended leaves behind: counts, what its instance is thought of, and a line of the access log."""

from __future__ import annotations

from time import perf_counter
from typing import TYPE_CHECKING, Final

from gateway.health.ejection import ERRORS, Ejector

if TYPE_CHECKING:
    from gateway.proxy.exchange import Exchange

_FAILED: Final = frozenset({"answer_timeout", "bad_answer", "truncated", "upstream_closed"})
"""Causes that speak against the instance."""


def settle(exchange: Exchange, status: int) -> None:
    """Accounts for an exchange that ended with a status."""
    now = perf_counter()
    context = exchange.context
    traffic = context.traffic
    if exchange.tunnel is None:
        traffic.in_flight -= 1
    else:
        traffic.tunnels -= 1
    decision = exchange.plan.decision
    visit = exchange.plan.visit
    if visit is not None:
        visit.leave()
    overhead = _overhead(exchange, now) if exchange.answered_at else -1.0
    if decision.fallback:
        traffic.count_fallback(decision.service, decision.tag, decision.fallback)
    if decision.service:
        response = exchange.response
        received = len(exchange.request.head) + exchange.received
        sent = exchange.sent + (0 if response is None else response.end)
        traffic.count_exchange(decision.service, decision.tag, status, now - exchange.started, overhead, received, sent)
    elif decision.error:
        traffic.count_refused(decision.error)
    else:
        traffic.count_reply(decision.route, status)
    ejector = context.ejector
    if ejector is not None and (status >= 500 or exchange.cause or ejector.records):
        _judge(exchange, ejector)
    if context.log is not None:
        context.log.record(exchange, status, now, overhead)


def _judge(exchange: Exchange, ejector: Ejector) -> None:
    """Tells how the instance has answered, where it was asked."""
    decision = exchange.plan.decision
    instance = decision.instance
    status = exchange.upstream_status
    if instance is None:
        return
    is_stalled = exchange.cause == "body_timeout" and status
    if exchange.cause in _FAILED or is_stalled or status >= 500:
        ejector.failed(decision.service, instance, ERRORS)
    elif status:
        ejector.succeeded(decision.service, instance)


def _overhead(exchange: Exchange, now: float) -> float:
    """Seconds that this program took: until the head was handed on, and from the answer's coming to its passing on."""
    handed_on = exchange.sent_at - exchange.started - exchange.waited
    return handed_on + (exchange.passed_at or now) - exchange.answered_at
