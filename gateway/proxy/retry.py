"""Whether a request may be sent once more, and where: a verdict on each fault, within what is allowed and the budget.

Attempts and budget bound what adds load to instances, or takes long. One that accepts nothing is only passed by (`_onward`).
"""

from __future__ import annotations

from typing import Final

from gateway.failures import (
    CLOSED,
    CONNECT_ERROR,
    REFUSED_MISDIRECTED,
    REFUSED_STREAM,
    REFUSED_UNAVAILABLE,
    UNRESPONSIVE,
    Fault,
)
from gateway.instance import Instance
from gateway.proxy.context import Context
from gateway.routing import services
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

    __slots__ = ("_context", "_forward", "_has_met_stale", "_method", "_refused_until", "_retries")

    def __init__(self, context: Context, forward: Forward, method: str) -> None:
        self._context = context
        self._forward = forward
        self._method = method
        self._retries: int = 0
        self._has_met_stale: bool = False
        self._refused_until: float = 0.0

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
            return self._fallen_back(services.MISDIRECTED) if other is None else self._again(other)
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
        again = self._onward(fault) or self._elsewhere(fault, is_free)
        if again is None and fault is REFUSED_STREAM and self._may_retry(fault.kind, is_free):
            # Many requests at a time can use up the next connection as well.
            again = self._again(self._forward.instance)
        return again or self._fallen_back(services.CONNECT_ERROR)

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
        return None if other is None or not self._may_retry(fault.kind) else self._again(other, services.CONNECT_ERROR)

    def _onward(self, fault: Fault) -> Again | None:
        """Another instance of the pool, after one that accepts nothing: neither has more work of that, so it is no attempt.

        Not one that is out, or remembered by nobody: every request would try the whole of a pool that is down. Nor for longer
        than a connection may take: refusals can be slow (of a host that no router knows). A timeout is no refusal: an instance
        that has too much to do looks the same.
        """
        context = self._context
        ejector = context.ejector
        if fault is not CONNECT_ERROR and fault is not REFUSED_UNAVAILABLE:
            return None
        if ejector is None or ejector.is_off or self._attempts == 1:
            return None
        now = context.loop.time()
        if not self._refused_until:
            self._refused_until = now + self.connect_timeout
        if now > self._refused_until:
            return None
        service = self._forward.decision.service
        other = self._forward.other_but(lambda instance: ejector.is_out(service, instance))
        if other is None:
            return None
        context.traffic.count_retry(service, fault.kind)
        return self._again(other)

    @property
    def connect_timeout(self) -> float:
        """Seconds within which an instance must accept a connection."""
        patience = self._forward.decision.patience
        return (self._context.timeouts if patience is None else patience.timeouts).connect

    @property
    def _attempts(self) -> int:
        """How many instances the request may be sent to."""
        budget = self._context.budget
        patience = self._forward.decision.patience
        return budget.attempts if patience is None else patience.attempts or budget.attempts

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
        if self._retries + 1 >= self._attempts:
            return False
        context = self._context
        traffic = context.traffic
        decision = self._forward.decision
        service, tag = decision.service, decision.tag
        if not is_free and not context.budget.take(service, tag, traffic.ended(service, tag), context.loop.time()):
            traffic.count_retry_denied(service)
            return False
        self._retries += 1
        traffic.count_retry(service, reason)
        return True
