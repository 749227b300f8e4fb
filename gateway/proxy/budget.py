"""The retry budget: retries may not multiply the load on services that are already failing.

A share of the requests, as in Finagle and Linkerd (https://finagle.github.io/blog/2016/02/08/retry-budgets/), and some a
second besides, so that a quiet gateway can retry too. Each service and tag has its own: what the requests of a sick lane use
up, those of the baseline and of other services do not miss.
"""

from __future__ import annotations

from typing import Final

WINDOW: Final = 10.0
"""Seconds whose unused retries are kept."""
MOST: Final = 4096
"""Services and tags whose budgets are remembered."""


class RetryBudget:
    """`share` of the requests (0.2: one in five) and `minimum` a second may be retried; `attempts` is per request."""

    __slots__ = ("_accounts", "attempts", "minimum", "share")

    def __init__(self, *, attempts: int, share: float, minimum: float) -> None:
        self.attempts = attempts
        self.share = share
        self.minimum = minimum
        self._accounts: dict[tuple[str, str], _Account] = {}

    def take(self, service: str, tag: str, requests: int, now: float) -> bool:
        """Whether one more request of a service and a tag may be retried.

        `requests` counts those of them that ever ended; `now` is in seconds. Everything is worked out here: a request that is
        not retried costs nothing but its count.
        """
        key = (service, tag)
        account = self._accounts.get(key)
        if account is None:
            if len(self._accounts) >= MOST:
                accounts = self._accounts
                del accounts[min(accounts, key=lambda known: accounts[known].at)]
            account = self._accounts[key] = _Account(self.minimum)
        return account.take(self.share, self.minimum, requests, now)


class _Account:
    """The retries that one service and tag have left. `at` is when one was last wanted."""

    __slots__ = ("_earned", "_requests", "_spare", "at")

    def __init__(self, minimum: float) -> None:
        self._earned: float = 0.0  # by requests
        self._spare: float = minimum  # by time
        self._requests: int = 0
        self.at: float = 0.0

    def take(self, share: float, minimum: float, requests: int, now: float) -> bool:
        """Whether one more retry may be made."""
        elapsed = max(0.0, now - self.at)
        # Without a bound a busy hour would save up a storm of retries for the outage that follows it.
        recent = 1.0 if elapsed <= WINDOW else WINDOW / elapsed
        kept = max(0.0, 1.0 - elapsed / WINDOW)
        self._earned = self._earned * kept + max(0, requests - self._requests) * share * recent
        self._spare = min(self._spare + elapsed * minimum, WINDOW * minimum)
        self.at = now
        self._requests = requests
        if self._earned >= 1.0:
            self._earned -= 1.0
        elif self._spare >= 1.0:
            self._spare -= 1.0
        else:
            return False
        return True
