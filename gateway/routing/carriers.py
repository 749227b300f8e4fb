"""Carriers: where a request carries its tag. Reading them, and writing them all again so that one survivor heals the others."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from gateway.http.request import Request
from gateway.routing.decision import SOURCE_AMBIGUOUS, SOURCE_BAGGAGE, SOURCE_HEADER, SOURCE_TRACE
from gateway.routing.memory import AMBIGUOUS, TraceMemory
from gateway.tags import BASE, is_tag
from gateway.telemetry.baggage import member, without_member
from gateway.telemetry.tracecontext import ID_FIELDS, IdField

_MAX_TAGS: Final = 1024
"""Tags whose lines are kept ready: a trusted peer may send any."""


class Carriers:
    """The names under which the tag travels: its own header and a member of the W3C `baggage` header.

    `ids` are the names of the `ID_FIELDS` that count beside `traceparent`; None: all.
    """

    __slots__ = ("_baggage", "_header", "_ids", "_lines", "_member", "header")

    def __init__(
        self, header: str = "x-gray-tag", baggage: str = "x-gray-tag", ids: Collection[str] | None = None
    ) -> None:
        self.header = header
        self._header: bytes = header.encode("ascii") + b": "
        self._member: bytes = baggage.encode("ascii")
        self._baggage: bytes = b"baggage: "
        self._ids: list[tuple[int, IdField]] = [
            (number, field)
            for number, field in enumerate(ID_FIELDS)
            if ids is None or field.name.decode("ascii") in ids
        ]
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

    def trace_ids(self, request: Request, strongest: bool = False) -> list[bytes]:
        """The ids that identify a request among all others, the strongest first; what identifies nothing is left out.

        `strongest`: only the first one is of use.

        The trace id of a sound `traceparent`, then those of `ID_FIELDS`, several of which may name the same trace.
        """
        ids: list[bytes] = []
        if request.traceparent:
            ids.append(request.trace_id)
        given = request.ids
        if given is None:
            return ids
        for number, field in self._ids:
            if strongest and ids:
                break
            value = given[number]
            if value:
                found = field.read(value)
                if found:
                    found = field.space + found
                    if found not in ids:
                        ids.append(found)
        return ids

    def recall(self, memory: TraceMemory, request: Request, now: float) -> tuple[str, str]:
        """The tag remembered for an outbound request, and how it is known; (`base`, "") if its id is not known.

        Only the strongest id is looked up. A weaker one may be shared with other requests, and must not speak for a trace that
        is unknown here.
        """
        ids = self.trace_ids(request, strongest=True)
        if not ids:
            return BASE, ""
        tag = memory.recall(ids[0], now)
        if tag is None:
            return BASE, ""
        return (tag, SOURCE_TRACE) if tag != AMBIGUOUS else (BASE, SOURCE_AMBIGUOUS)

    def _carry(self, tag: str, baggage: bytes) -> bytes:
        value = tag.encode("ascii")
        carried = self._member + b"=" + value
        if baggage:
            carried = baggage + b"," + carried
        return self._header + value + b"\r\n" + self._baggage + carried + b"\r\n"
