"""The slow path of an exchange: learning a service, connecting, waiting for a free connection, trying again.

Each step has a deadline of its own, and may find on waking that the exchange is over.
"""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING, Final

from gateway import hop
from gateway.health.ejection import CONNECT, ERRORS, UNAVAILABLE
from gateway.proxy.origin import Busy, Exhausted
from gateway.proxy.replies import STATUS_OF
from gateway.routing.services import CONNECT_ERROR, MISDIRECTED
from gateway.tags import BASE

if TYPE_CHECKING:
    from gateway.proxy.exchange import Exchange

# RFC 9110 §9.2.2: only these may be sent a second time without asking the client.
_IDEMPOTENT: Final = frozenset({"GET", "HEAD", "OPTIONS", "PUT", "DELETE"})


async def learn_and_send(exchange: Exchange) -> None:
    """Asks the registry for a service that the router did not know, and sends the request there."""
    context = exchange.context
    service = exchange.plan.unknown
    known = context.learn is not None and await context.learn(service)
    if exchange.is_over:
        return
    if known:
        exchange.plan = context.router.route(exchange.request, exchange.downstream.peer, context.now)
    decision = exchange.plan.decision
    if exchange.plan.unknown:
        exchange.fail(503, "registry_unavailable", f"the registry has not answered for service {service} yet")
    elif decision.error:
        exchange.fail(STATUS_OF[decision.error], decision.error, decision.detail)
    else:
        exchange.send()


async def connect_and_send(exchange: Exchange) -> None:
    """Gets a connection to the plan's instance, or to another one where that refuses, and sends the request."""
    decision = exchange.plan.decision
    context = exchange.context
    while True:
        exchange.attempts += 1
        instance = decision.instance
        assert instance is not None
        try:
            origin = context.origins.of(instance, decision.service)
            upstream = await origin.acquire(context.timeouts.connect, exchange.has_reused)
        except Busy:
            context.traffic.count_upstream_error(decision.service, decision.pool, "busy")
            if not exchange.is_over:
                exchange.fail(503, "upstream_busy", f"every connection to {instance.address} is in use")
            return
        except Exhausted:
            if not exchange.is_over:
                exchange.fail(503, "overloaded", "this gateway can open no more connections")
            return
        except (OSError, ValueError) as error:  # ValueError: a host that cannot even be looked up (`a..b`)
            kind = _kind_of(error)
            context.traffic.count_upstream_error(decision.service, decision.pool, kind)
            if context.ejector is not None:
                context.ejector.failed(decision.service, instance, CONNECT)
            if exchange.is_over:
                return
            # Nothing was sent: any method may go to another instance.
            if _retry_elsewhere(exchange, kind, is_unprocessed=True) or _fall_back(exchange, CONNECT_ERROR):
                continue
            if exchange.request.hop and not exchange.plan.hop:
                # One of our own asks for this very instance, and nothing was done: it can go elsewhere. (A plan with a hop
                # of its own is no sidecar's inbound: what it cannot reach says nothing about this process.)
                exchange.plan.answer_fields += hop.refusal(hop.UNAVAILABLE)
            if kind == "tls_error":
                reason = getattr(error, "verify_message", "") or str(error)
                detail = f"TLS with {instance.address} of service {decision.service} failed: {reason}"
                exchange.fail(502, "tls_failed", detail)
            else:
                detail = f"{instance.address} of service {decision.service} does not answer"
                exchange.fail(502, "connect_failed", detail)
            return
        if exchange.is_over:
            upstream.origin.release(upstream, context.now)
        elif upstream.is_lost:
            continue
        else:
            exchange.send_on(upstream)
        return


def _kind_of(error: OSError | ValueError) -> str:
    if isinstance(error, ssl.SSLError):
        return "tls_error"
    return "connect_timeout" if isinstance(error, TimeoutError) else "connect_error"


def may_try_again(exchange: Exchange) -> bool:
    """Whether a request whose connection closed can be sent once more, and where: the plan then holds the instance.

    That is safe where nothing of an answer was seen, all of the request is still here, and its method is idempotent.
    """
    request = exchange.request
    upload = exchange.upload
    is_whole = upload is None or upload.can_replay
    if exchange.has_answer_begun or not is_whole or request.method not in _IDEMPOTENT:
        return False
    if not exchange.is_fresh:
        # A kept-alive connection that the instance had closed, by its own timeout most likely: the request never reached
        # it. It is sent once more on a connection just made, which is no additional load: no budget.
        if exchange.has_reused:
            return False
        exchange.has_reused = True
        exchange.context.traffic.count_retry(exchange.plan.decision.service, "stale")
        return True
    # A new connection that closes without a word: the instance is going away.
    instance = exchange.plan.decision.instance
    if not _retry_elsewhere(exchange, "closed"):
        # It may have been processed: the baseline is a second time as any other.
        other = exchange.plan.other_in_baseline()
        if other is None or not _may_retry(exchange, "closed"):
            return False
        exchange.plan.fall_back_to(other, CONNECT_ERROR)
    ejector = exchange.context.ejector
    if ejector is not None and instance is not None:
        # The exchange goes on, and will end with what another one answers.
        ejector.failed(exchange.plan.decision.service, instance, ERRORS)
    return True


def turn_away(exchange: Exchange, reason: bytes) -> bool:
    """Takes that a sidecar has refused the request unprocessed; returns whether it goes on: the plan then holds to whom."""
    plan = exchange.plan
    service, instance = plan.decision.service, plan.decision.instance
    context = exchange.context
    is_other = reason == hop.MISDIRECTED
    if context.ejector is not None and instance is not None:
        if is_other:
            context.ejector.refused(service, instance)
        else:
            context.ejector.failed(service, instance, UNAVAILABLE)
    context.traffic.count_upstream_error(service, plan.decision.pool, "misdirected" if is_other else "unavailable")
    upload = exchange.upload
    if upload is not None and not upload.can_replay:
        return False
    if is_other:
        # The load belongs there: no budget.
        other = plan.other()
        if other is not None:
            plan.turn_to(other)
            return True
        return _fall_back(exchange, MISDIRECTED)
    return _retry_elsewhere(exchange, "unavailable", is_unprocessed=True) or _fall_back(exchange, CONNECT_ERROR)


def _retry_elsewhere(exchange: Exchange, reason: str, is_unprocessed: bool = False) -> bool:
    """Changes the plan to another instance of its pool, as far as there is one and attempts and budget allow it.

    `is_unprocessed`: nothing was done. Of a lane this costs no budget, since falling back to the baseline would cost none.
    """
    other = exchange.plan.other()
    is_free = is_unprocessed and exchange.plan.decision.pool != BASE
    if other is None or not _may_retry(exchange, reason, is_free):
        return False
    exchange.plan.turn_to(other)
    return True


def _fall_back(exchange: Exchange, reason: str) -> bool:
    """Changes the plan to the baseline behind a tagged pool.

    Of a request that was not processed this is no retry, and costs no budget: the baseline is where it would have gone
    without the pool.
    """
    other = exchange.plan.other_in_baseline()
    if other is None:
        return False
    exchange.plan.fall_back_to(other, reason)
    return True


def _may_retry(exchange: Exchange, reason: str, is_free: bool = False) -> bool:
    context = exchange.context
    budget = context.budget
    if exchange.retries + 1 >= budget.attempts:
        return False
    service = exchange.plan.decision.service
    if not is_free and not budget.take(context.traffic.started, context.loop.time()):
        context.traffic.count_retry_denied(service)
        return False
    exchange.retries += 1
    context.traffic.count_retry(service, reason)
    return True
