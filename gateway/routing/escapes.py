"""Notices when an application's call leaves the lane of the request that it belongs to.

An application that passes no carrier on sends its calls to the baseline, and nobody would see why. A sidecar sees both
sides of it: which requests are inside, and what the calls carry.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from gateway.http.request import Request
from gateway.routing.carriers import Carriers
from gateway.routing.decision import SOURCE_BAGGAGE, SOURCE_HEADER, SOURCE_NONE, SOURCE_TRACE, Decision
from gateway.routing.memory import AMBIGUOUS, TraceMemory
from gateway.tags import BASE
from gateway.telemetry.counters import Traffic

CHANGED: Final = "changed"
"""The call carries another tag than the request with its id: the application keeps tags where requests share them."""
NO_ID: Final = "no_id"
"""The call carries neither a tag nor an id."""
UNKNOWN_ID: Final = "unknown_id"
"""The call carries no tag, and an id that no request inside has: the application begins a trace of its own."""

MAX_CALLEES: Final = 1024
"""Services of which it is known that calls to them carry something: an application may make names up."""


class EscapeDetector:
    """Of one sidecar. `memory` is what inbound requests left; a loss is counted in `traffic`.

    `on_first` gets the callee, the tag, and why when a kind of loss is seen for the first time.
    """

    __slots__ = ("_carriers", "_carrying", "_memory", "_on_first", "_traffic")

    def __init__(
        self,
        carriers: Carriers,
        memory: TraceMemory,
        traffic: Traffic,
        on_first: Callable[[str, str, str], None] | None = None,
    ) -> None:
        self._carriers = carriers
        self._memory = memory
        self._traffic = traffic
        self._on_first = on_first
        self._carrying: set[str] = set()

    def check(self, request: Request, decision: Decision, now: float) -> None:
        """Notes how a call lost the tag of the request that it belongs to, if something shows that it did.

        `decision` says what the call carries. A call that this sidecar marks for another reason is in its lane.
        """
        source = decision.tag_source
        if source == SOURCE_NONE:
            self._check_unmarked(request, decision)
        if source == SOURCE_TRACE:
            self._note_carrying(decision.service)
        elif source in (SOURCE_HEADER, SOURCE_BAGGAGE):
            self._note_carrying(decision.service)
            self._check_marked(request, decision, now)

    def _check_marked(self, request: Request, decision: Decision, now: float) -> None:
        inside = self._memory.inside
        tag = decision.tag
        if len(inside) == 1 and tag in inside:
            return
        ids = self._carriers.trace_ids(request, strongest=True)
        remembered = self._memory.recall(ids[0], now) if ids else None
        if remembered is not None and remembered not in (tag, AMBIGUOUS):
            self._lost(decision, remembered, CHANGED)

    def _check_unmarked(self, request: Request, decision: Decision) -> None:
        """If all requests inside are marked, the call belongs to one of them.

        If unmarked ones are inside too, it is taken for lost only if no call to this service has ever carried anything: otherwise
        it may belong to an unmarked one without an id, or to none, as what timers do.
        """
        inside = self._memory.inside
        if not inside or (BASE in inside and (len(inside) == 1 or decision.service in self._carrying)):
            return
        marked = [tag for tag in inside if tag != BASE]
        self._lost(decision, marked[0], UNKNOWN_ID if self._carriers.trace_ids(request, strongest=True) else NO_ID)
        if len(marked) > 1:
            decision.lost_tag = ""  # whose it is cannot be told, and it is counted once

    def _note_carrying(self, callee: str) -> None:
        if callee not in self._carrying and len(self._carrying) < MAX_CALLEES:
            self._carrying.add(callee)

    def _lost(self, decision: Decision, tag: str, why: str) -> None:
        decision.lost = why
        decision.lost_tag = tag
        callee = decision.service
        if self._traffic.count_lost(callee, tag, why) and self._on_first is not None:
            self._on_first(callee, tag, why)
