"""What people are told of calls that left the lane of their request (`routing/escapes.py`)."""

from __future__ import annotations

import logging
from typing import Final

from gateway.printable import printable
from gateway.routing.escapes import CHANGED, NO_ID, UNKNOWN_ID
from gateway.telemetry.counters import Traffic

_log = logging.getLogger(__name__)

REASONS: Final = {
    NO_ID: "they carry neither a tag nor an id of a request",
    UNKNOWN_ID: "they carry a trace id that no request of the application has",
    CHANGED: "they carry another tag than the request with their trace id",
}
REMEDIES: Final = {
    NO_ID: "have the application pass on the `traceparent` of its request, as an OpenTelemetry agent does, or `{header}`",
    UNKNOWN_ID: "the application begins a new trace: have its HTTP client continue that of the request, or pass on `{header}`",
    CHANGED: "the application keeps a header where requests share it, such as a pool's thread: have it pass on the request's own",
}
"""What mends it, by why. `{header}` is the tag header's name."""


def warn_of_escape(header: str, callee: str, tag: str, why: str) -> None:
    """Says once what kind of calls lose a tag."""
    remedy = REMEDIES[why].format(header=header)
    _log.warning("calls to %s lose tag %s: %s; %s", printable(callee), printable(tag), REASONS[why], remedy)


def describe_escapes(traffic: Traffic) -> list[dict[str, object]]:
    """The calls that lost a tag, counted by callee, tag and why, for JSON."""
    return [
        {"to": to, "tag": tag, "why": why, "count": count} for (to, tag, why), count in sorted(traffic.lost.items())
    ]
