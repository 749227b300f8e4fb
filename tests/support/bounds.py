"""Timeouts, limits and budgets as the settings have them by default, but for what a test says."""

from __future__ import annotations

from typing import Any

from gateway.http2.terms import Terms
from gateway.proxy import bounds as proxy_bounds
from gateway.proxy import budget
from gateway.routing import patience
from gateway.settings.plane import LimitSettings, RetrySettings, TimeoutSettings


def Timeouts(**changes: float) -> patience.Timeouts:
    """Timeouts in seconds."""
    values = TimeoutSettings().model_dump()
    return patience.Timeouts(**{**values, **changes})


def Limits(**changes: int) -> proxy_bounds.Limits:
    """A listener's limits."""
    values: dict[str, Any] = LimitSettings().model_dump()
    for name in ("upstream_connections", "upstream_streams"):
        del values[name]
    return proxy_bounds.Limits(**{**values, **changes})


def Http2(max_age: float = 0.0, ping: float = 0.0, **changes: int) -> proxy_bounds.Http2:
    """How HTTP/2 is spoken."""
    return proxy_bounds.Http2(Terms(**changes), max_age=max_age, ping=ping)


def RetryBudget(**changes: Any) -> budget.RetryBudget:
    """What may be retried."""
    return budget.RetryBudget(**{**RetrySettings().model_dump(), **changes})
