"""What an exchange leaves behind: counts, what its instance is thought of, a line of the access log, and a request record."""

from __future__ import annotations

import logging
from time import perf_counter
from typing import Final

from gateway import hop
from gateway.failures import (
    CERTIFICATE_REFUSED,
    CLIENT_GONE,
    CLOSED,
    CONNECT_ERROR,
    CONNECT_TIMEOUT,
    REFUSED_MISDIRECTED,
    REFUSED_UNAVAILABLE,
    TLS_ERROR,
    UNRESPONSIVE,
    UPSTREAM,
    Fault,
)
from gateway.grpc.status import DEADLINE_EXCEEDED, NAMES, is_error, is_fault
from gateway.health import ejection
from gateway.health.ejection import ERRORS, UNAVAILABLE, Ejector
from gateway.instance import Instance
from gateway.proxy.context import Context
from gateway.proxy.record import Record
from gateway.routing.decision import Decision
from gateway.routing.failedcalls import GIVEN_UP
from gateway.routing.tagsigner import EXPIRED, FORGED, UNSIGNED, VERIFIED

_log = logging.getLogger("gateway")

_REJECTED: Final = {
    FORGED: "it is signed by none of the keys in carriers.keys",
    EXPIRED: "its signature has expired; compare the clocks, and carriers.lifetime with how long requests take",
    UNSIGNED: "it is not signed, and carriers.signing is required",
}


def note_fault(context: Context, decision: Decision, fault: Fault) -> None:
    """Counts what went wrong with an instance once, and holds it against it if no response will."""
    context.traffic.count_upstream_error(decision.service, decision.pool, fault.kind)
    ejector = context.ejector
    instance = decision.instance
    if ejector is None or instance is None:
        return
    if fault in (CONNECT_ERROR, TLS_ERROR, CERTIFICATE_REFUSED):
        ejector.failed(decision.service, instance, ejection.CONNECT)
    elif fault is CONNECT_TIMEOUT:
        ejector.failed(decision.service, instance, ejection.CONNECT_TIMEOUT)
    elif fault is REFUSED_MISDIRECTED:
        ejector.refused(decision.service, instance)
    elif fault is REFUSED_UNAVAILABLE:
        ejector.failed(decision.service, instance, UNAVAILABLE)


def note_left(context: Context, service: str, instance: Instance, fault: Fault, is_fresh: bool) -> None:
    """Holds against an instance what made its request go elsewhere: the exchange will end with what another one says.

    `is_fresh`: the connection had carried nothing before; one that had, the instance may close at any time.
    """
    if context.ejector is not None and ((fault is CLOSED and is_fresh) or fault is UNRESPONSIVE):
        context.ejector.failed(service, instance, ERRORS)


def settle(context: Context, record: Record, is_tunnel: bool) -> None:
    """Accounts for an exchange that is over."""
    now = perf_counter()
    traffic = context.traffic
    if is_tunnel:
        traffic.tunnels -= 1
    else:
        traffic.in_flight -= 1
    decision = record.decision
    status = record.status
    overhead = -1.0
    if record.responded_at:
        # Until the head was handed on, and from the response's coming to its passing on.
        handed_on = record.sent_at - record.started - record.waited
        overhead = handed_on + (record.passed_at or now) - record.responded_at
    if decision.fallback:
        traffic.count_fallback(decision.service, decision.tag, decision.fallback)
    if decision.unknown_rules or (decision.signature and decision.signature != VERIFIED):
        _note_carriers(context, decision)
    if decision.service:
        received = len(record.request.head) + record.received
        sent = record.sent + record.response_head
        taken = now - record.started
        traffic.count_exchange(decision.service, decision.tag, status, taken, overhead, received=received, sent=sent)
        if record.grpc_status >= 0:
            is_failed = status < 500 and is_error(record.grpc_status)
            traffic.count_call(decision.service, decision.tag, NAMES[record.grpc_status], is_failed)
    elif decision.error:
        traffic.count_refused(decision.error)
    else:
        traffic.count_reply(decision.route, status)
    ejector = context.ejector
    if status >= 500 or record.grpc_status > 0 or record.cause is not None:
        if _has_failed(record, now):
            context.router.note_failure(record.request, decision, now)
        if ejector is not None:
            _judge(context, record, ejector)
    elif ejector is not None and ejector.records:
        _judge(context, record, ejector)
    log = context.log
    if log is not None and log.record(record, now, overhead):
        traffic.log_lines += 1
    spans = context.spans
    if spans is not None and record.request.span_id:
        spans.note(record, now, overhead)
    recorder = context.recorder
    if recorder is not None:
        recorder.note(record, now, overhead)


def _note_carriers(context: Context, decision: Decision) -> None:
    """Counts what was wrong with the carriers of a request, and names the first of each kind."""
    traffic = context.traffic
    why = decision.signature
    if decision.is_rejected and traffic.count_rejected(why):
        _log.warning(
            "%s: the tag of a request from %s was dropped: %s", context.name, decision.client_ip, _REJECTED[why]
        )
    if why == UNSIGNED and not decision.is_rejected:
        traffic.unsigned += 1
    if decision.unknown_rules:
        traffic.unknown_rules += 1


def _has_failed(record: Record, now: float) -> bool:
    """Whether whoever called will take the exchange for a failure that is not its own."""
    cause = record.cause
    if cause is CLIENT_GONE:
        return not record.upstream_status and now - record.started >= GIVEN_UP
    status = record.grpc_status
    return (
        record.status >= 500
        or status == DEADLINE_EXCEEDED
        or is_fault(status)
        or (cause is not None and cause.side == UPSTREAM)
    )


def _judge(context: Context, record: Record, ejector: Ejector) -> None:
    """Reports how the instance has responded, if it was sent the request."""
    decision = record.decision
    instance = decision.instance
    status = record.upstream_status
    cause = record.cause
    if instance is None:
        return
    if cause is not None and cause.blames_instance:
        ejector.failed(decision.service, instance, ERRORS)
    elif record.callee_failed:
        context.traffic.count_excused(decision.service, instance.tag, hop.CALLEE.decode())
    elif status >= 500 or is_fault(record.grpc_status):
        ejector.failed(decision.service, instance, ERRORS)
    elif status:
        ejector.succeeded(decision.service, instance)
