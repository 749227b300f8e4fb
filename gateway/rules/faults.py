"""Faults that a lane injects into its own requests, so that a drill shows what its services do about them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Annotated, Any, Final

from pydantic import BeforeValidator, Field, PlainSerializer, WithJsonSchema, model_validator

from gateway.failures import INTERNAL, Failure
from gateway.rules.injected import InjectedFault
from gateway.rules.names import Model

_DELAY: Final = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|s)")
MAX_DELAY: Final = 60.0
"""Seconds."""


def _parse_delay(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    match = _DELAY.fullmatch(value)
    seconds = float(match[1]) / (1000 if match[2] == "ms" else 1) if match is not None else 0.0
    if not 0 < seconds <= MAX_DELAY:
        raise ValueError(f"a delay is a number with ms or s, up to {MAX_DELAY:g}s; found {value!r}")
    return seconds


def _show_delay(seconds: float) -> str:
    return f"{seconds * 1000:g}ms" if seconds < 1 else f"{seconds:g}s"


Delay = Annotated[
    float, BeforeValidator(_parse_delay), PlainSerializer(_show_delay), WithJsonSchema({"type": "string"})
]
"""Seconds."""


class LaneFault(Model):
    """What happens to requests that are marked with the lane's tag, before they are sent on."""

    services: list[str] = Field(default_factory=list)
    """The services to which calls are affected; empty: every service that the lane may use."""
    delay: Delay | None = None
    """How long they are held up first."""
    abort: Annotated[int, Field(ge=400, le=599)] | None = None
    """The status of the error that they get in place of a response of the service; without it, they are sent on."""
    percent: Annotated[float, Field(gt=0, le=100)] = 100.0
    """How many of them, at random."""

    @model_validator(mode="after")
    def _does_something(self) -> LaneFault:
        if self.delay is None and self.abort is None:
            raise ValueError("fault: delay or abort is needed, such as {delay: 200ms} or {abort: 503}")
        return self

    def compile(self, lane: str, services: Iterable[str]) -> InjectedFault:
        """What is injected for `lane` (`group/lane`), whose group holds `services`; empty: every service."""
        return InjectedFault(
            lane,
            frozenset(self.services or services),
            self.delay or 0.0,
            None if self.abort is None else Failure("fault_injected", self.abort, INTERNAL),
            self.percent / 100,
        )
