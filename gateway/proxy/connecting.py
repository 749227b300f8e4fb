"""The slow path to a connection: making one, waiting for a free one, turning to another instance if that fails.

Each attempt has its own deadline, and the caller may be gone when it is over.
"""

from __future__ import annotations

from gateway import hop
from gateway.failures import BUSY, OVERLOADED, TLS_FAILED, Failure, Fault
from gateway.proxy.accounting import note_fault
from gateway.proxy.context import Context
from gateway.proxy.origin import Exhausted, NotConnected
from gateway.proxy.record import Record
from gateway.proxy.retry import Retry
from gateway.proxy.upstream import Upstream
from gateway.routing.verdict import Forward


class Unreachable(Exception):
    """There is no connection, and none will be made: why, and a sentence for a person."""

    def __init__(self, failure: Failure, detail: str) -> None:
        self.failure = failure
        self.detail = detail
        super().__init__(detail)


async def connect(context: Context, forward: Forward, record: Record, retry: Retry, is_new: bool) -> Upstream | None:
    """A connection to the instance that `forward` holds, or turned to, since the first could not be reached.

    `is_new`: one that was never idle. Returns None if the exchange was over by then. Raises Unreachable.
    """
    decision = forward.decision
    timeout = retry.connect_timeout
    while True:
        record.attempts += 1
        origin = context.origins.of(forward.instance, decision.service, record.request)
        try:
            upstream = await origin.acquire(timeout, is_new)
        except Exhausted:
            raise Unreachable(OVERLOADED, "this gateway can open no more connections") from None
        except NotConnected as error:
            note_fault(context, decision, error.fault)
            if record.status:
                return None
            again = retry.after(error.fault, is_fresh=True)
            if again is None:
                raise _unreachable(forward, record, error.fault, str(error)) from error
            again.apply(forward)
            is_new = again.is_new
            continue
        if record.status:
            upstream.owner.release(upstream, context.now)
            return None
        if not upstream.is_lost:
            return upstream


def _unreachable(forward: Forward, record: Record, fault: Fault, why: str) -> Unreachable:
    decision = forward.decision
    address = forward.instance.address
    if fault is BUSY:
        return Unreachable(fault.failure, f"every connection to {address} is in use")
    if record.request.meant_instance and not forward.target_line:
        # One of our own proxies meant this very instance, and nothing was done: it can choose another one. (A listener that
        # sends a target line itself is not a sidecar's inbound: what it cannot reach says nothing about this process.)
        decision.response_fields += hop.response_line(hop.UNAVAILABLE)
    if fault.failure is TLS_FAILED:
        return Unreachable(fault.failure, f"TLS with {address} of service {decision.service} failed: {why}")
    return Unreachable(fault.failure, f"{address} of service {decision.service} does not respond")
