"""How long the proxy waits, and how often it tries: values, made from the settings."""

from __future__ import annotations

from typing import Final

NEVER: Final = float("inf")
"""A timeout that does not pass."""


class Timeouts:
    """Seconds that the proxy waits: see `docs/limits.md`. The defaults stand in the settings.

    Of `body_idle`, `response` and `tunnel_idle`, 0 is NEVER.
    """

    __slots__ = ("body_grace", "body_idle", "connect", "head", "keep_alive", "response", "tunnel_idle", "upstream_idle")

    def __init__(
        self,
        *,
        head: float,
        body_idle: float,
        body_grace: float,
        connect: float,
        response: float,
        keep_alive: float,
        upstream_idle: float,
        tunnel_idle: float,
    ) -> None:
        self.head = head
        self.body_idle: float = body_idle or NEVER
        self.body_grace = body_grace
        self.connect = connect
        self.response: float = response or NEVER
        self.keep_alive = keep_alive
        self.upstream_idle = upstream_idle
        self.tunnel_idle: float = tunnel_idle or NEVER

    def due(self, rate: int) -> int:
        """How many bytes somebody must take in `body_idle`, at so many a second; 0 if that never passes."""
        return 0 if self.body_idle == NEVER else int(rate * self.body_idle)


class Patience:
    """How long the requests of one route wait, and how many instances are tried for each; 0: as many as for any other.

    `told` is what the route itself says, by the names of settings, for people.
    """

    __slots__ = ("attempts", "timeouts", "told")

    def __init__(self, timeouts: Timeouts, attempts: int, told: dict[str, float]) -> None:
        self.timeouts = timeouts
        self.attempts = attempts
        self.told = told
