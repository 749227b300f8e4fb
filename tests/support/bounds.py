"""Timeouts, limits and budgets as the settings have them by default, but for what a test says."""

from __future__ import annotations

from typing import Any

from gateway.proxy import budget, context
from gateway.settings.plane import LimitSettings, RetrySettings, TimeoutSettings


def Timeouts(**changes: float) -> context.Timeouts:
    """Timeouts in seconds."""
    values = TimeoutSettings().model_dump()
    return context.Timeouts(**{**values, **changes})


def Limits(**changes: int) -> context.Limits:
    """A listener's limits."""
    values: dict[str, Any] = LimitSettings().model_dump()
    del values["upstream_connections"]
    return context.Limits(**{**values, **changes})


def RetryBudget(**changes: Any) -> budget.RetryBudget:
    """What may be retried."""
    return budget.RetryBudget(**{**RetrySettings().model_dump(), **changes})
