"""Carriers: where a request carries its tag. Reading them, and writing them all again so that one survivor heals the others."""

from __future__ import annotations

from typing import Final

from gateway.http.request import Request
from gateway.routing.decision import SOURCE_AMBIGUOUS, SOURCE_BAGGAGE, SOURCE_HEADER, SOURCE_TRACE
from gateway.routing.memory import AMBIGUOUS, TraceMemory
from gateway.tags import BASE, is_tag
from gateway.telemetry.baggage import member, without_member
from gateway.telemetry.tracecontext import b3_trace_id_of, request_id_of, x_b3_trace_id_of

_REQUEST_ID: Final = b"request "
"""Keeps request ids apart from trace ids that look the same."""
_MAX_TAGS: Final = 1024
"""Tags whose lines are kept ready: a trusted peer may send any."""


class Carriers:
    """The names under which the tag travels: a header of its own and a member of the W3C `baggage` header."""

    __slots__ = ("_baggage", "_header", "_lines", "_member", "header")

    def __init__(self, header: str = "x-gray-tag", baggage: str = "x-gray-tag") -> None:
        self.header = header
        self._header: bytes = header.encode("ascii") + b": "
        self._member: bytes = baggage.encode("ascii")
        self._baggage: bytes = b"baggage: "
        self._lines: dict[str, bytes] = {}  # by tag, for requests without baggage of their own

    def read(self, request: Request) -> tuple[str, str]:
        """The tag a request carries and the carrier it was found in; (`base`, "") where there is none that is legal."""
        if request.tag:
            tag = request.tag.decode("latin-1")
            if is_tag(tag):
                return tag, SOURCE_HEADER
        if request.baggage:
            found = member(request.baggage, self._member)
            if found is not None and is_tag(found):
                return found, SOURCE_BAGGAGE
        return BASE, ""

    def write(self, request: Request, tag: str, lines: list[bytes]) -> None:
        """Adds the field lines that carry `tag` onward; with `base`, only other people's baggage."""
        if not request.baggage:
            carried = self._lines.get(tag)
            if carried is None:
                carried = b"" if tag == BASE else self._carry(tag, b"")
                if len(self._lines) < _MAX_TAGS:
                    self._lines[tag] = carried
            lines.append(carried)
            return
        baggage = without_member(request.baggage, self._member)
        if tag != BASE:
            lines.append(self._carry(tag, baggage))
        elif baggage:
            lines.append(self._baggage + baggage + b"\r\n")

    def _carry(self, tag: str, baggage: bytes) -> bytes:
        value = tag.encode("ascii")
        carried = self._member + b"=" + value
        if baggage:
            carried = baggage + b"," + carried
        return self._header + value + b"\r\n" + self._baggage + carried + b"\r\n"


def trace_ids(request: Request, strongest: bool = False) -> list[bytes]:
    """The ids that identify a request among all others, the strongest first; what identifies nothing is left out.

    `strongest`: only the first one is of use.

    The trace id of a sound `traceparent`, then of B3's single field, then of its separate one (all three may name the same
    trace), then the request id, which anybody may have made up.
    """
    ids: list[bytes] = []
    if request.traceparent:
        ids.append(request.trace_id)
    if request.b3:
        trace_id = b3_trace_id_of(request.b3)
        if trace_id and trace_id not in ids:
            ids.append(trace_id)
    if request.b3_trace_id:
        trace_id = x_b3_trace_id_of(request.b3_trace_id)
        if trace_id and trace_id not in ids:
            ids.append(trace_id)
    if request.request_id and not (strongest and ids):
        request_id = request_id_of(request.request_id)
        if request_id:
            ids.append(_REQUEST_ID + request_id)
    return ids


def recall_trace(memory: TraceMemory, request: Request, now: float) -> tuple[str, str]:
    """The tag remembered for an outbound request, and how it is known; (`base`, "") if its id is not known.

    Only the strongest id is asked. A weaker one may be shared with other requests, and must not speak for a trace that is
    unknown here.
    """
    ids = trace_ids(request, strongest=True)
    if not ids:
        return BASE, ""
    tag = memory.recall(ids[0], now)
    if tag is None:
        return BASE, ""
    return (tag, SOURCE_TRACE) if tag != AMBIGUOUS else (BASE, SOURCE_AMBIGUOUS)
