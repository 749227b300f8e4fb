"""Carriers: where a request carries its tag. Reading them, and writing them all again so that one survivor heals the others."""

from __future__ import annotations

from typing import Final

from gateway.http.request import Request
from gateway.routing.decision import SOURCE_BAGGAGE, SOURCE_HEADER, SOURCE_TRACE
from gateway.routing.instance import BASE, is_tag
from gateway.routing.memory import TraceMemory
from gateway.telemetry.baggage import member, without_member
from gateway.telemetry.tracecontext import correlation_id_of, trace_id_of

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
            tag = member(request.baggage, self._member).decode("latin-1")
            if is_tag(tag):
                return tag, SOURCE_BAGGAGE
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


def note_traces(memory: TraceMemory, request: Request, tag: str, now: float) -> None:
    """Remembers the tag of an inbound request under every trace id it has."""
    if request.traceparent:
        trace_id = trace_id_of(request.traceparent)
        if trace_id:
            memory.note(trace_id, tag, now)
    for value in request.trace_ids:
        memory.note(correlation_id_of(value), tag, now)


def recall_trace(memory: TraceMemory, request: Request, now: float) -> tuple[str, str]:
    """The tag remembered for an outbound request's trace ids; (`base`, "") where none is known."""
    if request.traceparent:
        tag = memory.recall(trace_id_of(request.traceparent), now)
        if tag is not None:
            return tag, SOURCE_TRACE
    for value in request.trace_ids:
        tag = memory.recall(correlation_id_of(value), now)
        if tag is not None:
            return tag, SOURCE_TRACE
    return BASE, ""
