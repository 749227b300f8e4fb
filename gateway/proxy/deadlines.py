"""What becomes of an exchange whose deadline has passed: who was it that took too long, and what can the client still be told?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.proxy.replies import UPGRADED

if TYPE_CHECKING:
    from gateway.proxy.exchange import Exchange


def time_out(exchange: Exchange) -> None:
    """Ends an exchange that made no progress for too long."""
    context = exchange.context
    downstream = exchange.downstream
    if _is_taken(exchange):
        downstream.deadline = context.now + context.timeouts.body_idle
        return
    service = exchange.plan.decision.service
    status = exchange.upstream_status
    upload = exchange.upload
    if exchange.tunnel is not None:
        is_stuck = downstream.writes_paused or exchange.tunnel.is_blocked
        exchange.abort(UPGRADED, "body_timeout" if is_stuck else "tunnel_idle")
    elif status and downstream.writes_paused:
        exchange.abort(status, "slow_client")
    elif status:
        _count(exchange, "body_timeout")
        exchange.abort(status, "body_timeout")
    elif exchange.request_done:
        _count(exchange, "answer_timeout")
        exchange.fail(504, "answer_timeout", f"service {service} did not answer in time")
    elif exchange.upstream is not None and exchange.upstream.writes_paused:
        _count(exchange, "answer_timeout")
        exchange.fail(504, "answer_timeout", f"service {service} did not take the request body in time")
    elif upload is not None and context.now - upload.heard_at >= context.timeouts.body_idle:
        exchange.fail(408, "body_timeout", "the request body stopped coming")
    else:
        rate = context.limits.body_rate
        exchange.fail(408, "body_too_slow", f"the request body came at less than {rate} bytes a second")


def _is_taken(exchange: Exchange) -> bool:
    """Whether somebody who is slow to read takes bytes all the same, at the rate that is asked of a body."""
    context = exchange.context
    least = int(context.limits.body_rate * context.timeouts.body_idle)
    if exchange.downstream.writes_paused and (exchange.response is not None or exchange.tunnel is not None):
        return exchange.downstream.has_taken(least)
    upstream = exchange.upstream
    if upstream is None or not upstream.writes_paused or (exchange.request_done and exchange.tunnel is None):
        return False
    return upstream.has_taken(least)


def _count(exchange: Exchange, kind: str) -> None:
    decision = exchange.plan.decision
    exchange.context.traffic.count_upstream_error(decision.service, decision.pool, kind)
