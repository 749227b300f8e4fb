"""The retry budget: retries may not multiply the load on services that are already failing.

A share of the requests, as in Finagle and Linkerd (https://finagle.github.io/blog/2016/02/08/retry-budgets/), and some a
second besides, so that a quiet gateway can retry too.
"""

from __future__ import annotations

from typing import Final

WINDOW: Final = 10.0
"""Seconds whose unused retries are kept."""


class RetryBudget:
    """`share` of the requests (0.2: one in five) and `minimum` a second may be retried; `attempts` is per request."""

    __slots__ = ("_at", "_earned", "_requests", "_spare", "attempts", "minimum", "share")

    def __init__(self, *, attempts: int, share: float, minimum: float) -> None:
        self.attempts = attempts
        self.share = share
        self.minimum = minimum
        self._earned: float = 0.0  # by requests
        self._spare: float = minimum  # by time
        self._at: float = 0.0
        self._requests: int = 0

    def take(self, requests: int, now: float) -> bool:
        """Whether one more retry may be made. `requests` counts those that ever started; `now` is in seconds.

        Everything is worked out here: a request that is not retried costs nothing but its count.
        """
        elapsed = max(0.0, now - self._at)
        # Without a bound a busy hour would save up a storm of retries for the outage that follows it.
        recent = 1.0 if elapsed <= WINDOW else WINDOW / elapsed
        kept = max(0.0, 1.0 - elapsed / WINDOW)
        self._earned = self._earned * kept + (requests - self._requests) * self.share * recent
        self._spare = min(self._spare + elapsed * self.minimum, WINDOW * self.minimum)
        self._at = now
        self._requests = requests
        if self._earned >= 1.0:
            self._earned -= 1.0
        elif self._spare >= 1.0:
            self._spare -= 1.0
        else:
            return False
        return True
