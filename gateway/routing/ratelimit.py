"""Rate limits: a token bucket for each client, or whatever else is told apart.

A bucket is one number, the time at which it will be full again (the generic cell rate algorithm, ITU-T I.371). What clients are
told of it: https://datatracker.ietf.org/doc/draft-ietf-httpapi-ratelimit-headers/
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from ipaddress import IPv6Address
from math import ceil
from typing import Final

from gateway.routing.split import key_field
from gateway.rules.context import MatchContext
from gateway.rules.fields import Field

MAX_KEYS: Final = 20_000
"""Buckets that one limit keeps: about two megabytes. Beyond, the one that was used longest ago is forgotten."""


class RateLimit:
    """At most `rate` requests in `per` seconds, and `burst` at once, for each value of `by` (a source of conditions, and a name).

    Requests without such a value are counted by the client's address. `clock` returns seconds on a steady clock.
    """

    __slots__ = (
        "_burst",
        "_by_client",
        "_capacity",
        "_clock",
        "_field",
        "_full_at",
        "_step",
        "_terms",
        "name",
        "policy",
    )

    def __init__(
        self, name: str, rate: int, per: float, burst: int, by: tuple[str, str], clock: Callable[[], float]
    ) -> None:
        self.name = name
        self._terms: tuple[object, ...] = (name, rate, per, burst, by)
        self._step: float = per / rate
        self._burst = burst
        self._capacity: float = burst * self._step
        self._by_client: bool = by[0] == "client_ip"
        self._field: Field = key_field(by)
        self._clock = clock
        self._full_at: dict[int, float] = {}
        self.policy: str = f'"{name}";q={burst};w={ceil(self._capacity)}'

    def key(self, context: MatchContext) -> int:
        """What tells a request's bucket from others: of constant size, whatever clients send."""
        value = None if self._by_client else self._field.read(context)
        return hash(_whereabouts(context.client_ip)) if value is None else hash((self.name, value))

    def wait(self, key: int, now: float) -> float:
        """Seconds until there is a token in a bucket; 0 if there is one."""
        full_at = self._full_at.get(key, 0.0)
        return max(0.0, full_at - now + self._step - self._capacity)

    def take(self, key: int, now: float) -> None:
        """Takes a token, which must be there."""
        full_at = max(self._full_at.pop(key, 0.0), now) + self._step
        if len(self._full_at) >= MAX_KEYS:
            del self._full_at[next(iter(self._full_at))]
        self._full_at[key] = full_at

    def state(self, key: int, now: float) -> str:
        """What is left in a bucket, and in how many seconds it is full, as an item of the field RateLimit."""
        lack = max(0.0, self._full_at.get(key, 0.0) - now)
        left = max(0, int((self._capacity - lack) / self._step + 1e-6))
        return f'"{self.name}";r={left};t={ceil(lack)}'

    def go_on(self, before: RateLimit) -> bool:
        """Goes on counting where another one has, if that has the same terms; returns whether."""
        if self._terms != before._terms:
            return False
        self._full_at = before._full_at
        return True

    def now(self) -> float:
        """The time, in seconds of its clock."""
        return self._clock()


class RateLimits:
    """All limits of a route: a request needs a token of each, and takes none if one is missing."""

    __slots__ = ("_policies", "limits")

    def __init__(self, limits: Sequence[RateLimit]) -> None:
        self.limits: tuple[RateLimit, ...] = tuple(limits)
        self._policies: bytes = f"\r\nRateLimit-Policy: {', '.join([limit.policy for limit in limits])}".encode("ascii")

    def take(self, context: MatchContext, takes: bool) -> tuple[float, bytes]:
        """Takes tokens for a request; returns the seconds until it would get them, 0 if it got them, and field lines led by CRLF.

        Without `takes` nothing changes: somebody only looks, or the request has got its tokens already.
        """
        now = self.limits[0].now()
        wait = 0.0
        keys: list[int] = []
        for limit in self.limits:
            key = limit.key(context)
            keys.append(key)
            wait = max(wait, limit.wait(key, now))
        states: list[str] = []
        for limit, key in zip(self.limits, keys, strict=True):
            if wait <= 0.0 and takes:
                limit.take(key, now)
            states.append(limit.state(key, now))
        lines = self._policies + f"\r\nRateLimit: {', '.join(states)}".encode("ascii")
        if wait > 0.0 and takes:
            lines += b"\r\nRetry-After: %d" % ceil(wait)
        return wait, lines

    def go_on(self, before: RateLimits) -> None:
        """Goes on counting where the limits of a route before a reload have."""
        for limit in self.limits:
            for old in before.limits:
                if limit.go_on(old):
                    break


def _whereabouts(ip: str) -> object:
    """What a client cannot change at will: its address; of IPv6 the network, of which it has all addresses (RFC 6177)."""
    if ":" not in ip:
        return ip
    try:
        return int(IPv6Address(ip.partition("%")[0])) >> 64
    except ValueError:
        return ip
