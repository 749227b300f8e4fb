"""Whether a request may be sent once more, and where: a verdict on each fault, within what is allowed and the budget."""

from __future__ import annotations

from typing import Final

from gateway.failures import CLOSED, REFUSED_MISDIRECTED, REFUSED_STREAM, REFUSED_UNAVAILABLE, UNRESPONSIVE, Fault
from gateway.instance import Instance
from gateway.proxy.context import Context
from gateway.routing.services import CONNECT_ERROR, MISDIRECTED
from gateway.routing.verdict import Forward
from gateway.tags import BASE

# RFC 9110 §9.2.2: only these may be sent a second time without the client's consent.
_IDEMPOTENT: Final = frozenset({"GET", "HEAD", "OPTIONS", "PUT", "DELETE"})


class Again:
    """A verdict: send it once more, to `instance`.

    `fallback` is why it leaves its pool for the baseline, empty if it stays. `is_new`: on a connection that was never idle.
    """

    __slots__ = ("fallback", "instance", "is_new")

    def __init__(self, instance: Instance, fallback: str = "", is_new: bool = False) -> None:
        self.instance = instance
        self.fallback = fallback
        self.is_new = is_new

    def apply(self, forward: Forward) -> None:
        """Turns the request to whom the verdict holds."""
        if self.fallback:
            forward.fall_back_to(self.instance, self.fallback)
        elif self.instance is not forward.decision.instance:
            forward.turn_to(self.instance)


class Retry:
    """How often one request was sent again. It decides and counts; whoever asks acts."""

    __slots__ = ("_context", "_forward", "_has_met_stale", "_method", "_retries")

    def __init__(self, context: Context, forward: Forward, method: str) -> None:
        self._context = context
        self._forward = forward
        self._method = method
        self._retries: int = 0
        self._has_met_stale: bool = False

    def after(self, fault: Fault, *, is_fresh: bool) -> Again | None:
        """The verdict after a fault, of a request that is still here whole; None: it fails.

        `is_fresh`: the connection had carried nothing before.
        """
        if fault is CLOSED or fault is UNRESPONSIVE:
            return self._after_close(fault, is_fresh)
        if not fault.is_safe_to_retry:
            return None
        if fault is REFUSED_MISDIRECTED:
            # The load belongs there: no budget.
            self._has_met_stale = False
            other = self._forward.other()
            return self._fallen_back(MISDIRECTED) if other is None else self._again(other)
        if fault is REFUSED_STREAM and not self._has_met_stale:
            # Most likely the connection is on its way out, and the instance is not: it takes the request on another one. That
            # is no additional load.
            self._has_met_stale = True
            self._context.traffic.count_retry(self._forward.decision.service, fault.kind)
            return self._again(self._forward.instance)
        if fault is REFUSED_UNAVAILABLE:
            self._has_met_stale = False
        # Nothing was done. Of a lane this costs no budget, since falling back to the baseline would cost none.
        is_free = self._forward.decision.pool != BASE
        again = self._elsewhere(fault, is_free)
        if again is None and fault is REFUSED_STREAM and self._may_retry(fault.kind, is_free):
            # Many requests at a time can use up the next connection as well.
            again = self._again(self._forward.instance)
        return again or self._fallen_back(CONNECT_ERROR)

    def _after_close(self, fault: Fault, is_fresh: bool) -> Again | None:
        """The connection closed without a word, or was given up: the request may have been processed."""
        if self._method not in _IDEMPOTENT:
            return None
        forward = self._forward
        if fault is CLOSED and not is_fresh:
            # A kept-alive connection that the instance had closed, by its own timeout most likely: the request never reached
            # it. It is sent once more on a connection just made, which is not an additional load: no budget.
            if self._has_met_stale:
                return None
            self._has_met_stale = True
            self._context.traffic.count_retry(forward.decision.service, "stale")
            return self._again(forward.instance)
        # A new connection that closes without a word: the instance is going away. One that does not respond to a ping, either,
        # would not on another connection.
        again = self._elsewhere(fault)
        if again is not None:
            return again
        # It may have been processed: the baseline is a second time as any other.
        other = forward.other_in_baseline()
        return None if other is None or not self._may_retry(fault.kind) else self._again(other, CONNECT_ERROR)

    def _elsewhere(self, fault: Fault, is_free: bool = False) -> Again | None:
        """Another instance of the pool, as far as there is one and attempts and budget allow it."""
        other = self._forward.other()
        return None if other is None or not self._may_retry(fault.kind, is_free) else self._again(other)

    def _fallen_back(self, reason: str) -> Again | None:
        """The baseline behind a tagged pool, for a request that was not processed.

        This is not a retry, and costs no budget: the baseline is where it would have gone without the pool.
        """
        other = self._forward.other_in_baseline()
        return None if other is None else self._again(other, reason)

    def _again(self, instance: Instance, fallback: str = "") -> Again:
        """Who has met a connection that was closed while idle gets none that was idle any more."""
        return Again(instance, fallback, self._has_met_stale)

    def _may_retry(self, reason: str, is_free: bool = False) -> bool:
        context = self._context
        budget = context.budget
        decision = self._forward.decision
        patience = decision.patience
        if self._retries + 1 >= (budget.attempts if patience is None else patience.attempts or budget.attempts):
            return False
        traffic = context.traffic
        service, tag = decision.service, decision.tag
        if not is_free and not budget.take(service, tag, traffic.ended(service, tag), context.loop.time()):
            traffic.count_retry_denied(service)
            return False
        self._retries += 1
        traffic.count_retry(service, reason)
        return True
