"""Says of each response whether the request stayed where it belongs.

What must hold without exception: a request without a mark passes no gray instance, and every request passes the services in
their order. What must hold while it can: a marked request passes gray wherever gray is usable, and no request fails.

When "it can" is decided by the faults, and only before they act:

- Gray of a service counts as usable from when its callers list it and a number of marked requests in a row were served by it
  (ejections are over), until a fault is about to touch it. A request is held to that only if it holds for the request's whole
  life, without a gap (`gray` keeps an epoch per service).
- What goes wrong with an instance touches nobody before it in the chain: that its callers respond with 5xx ejects none of them.
  An instance whose list may be old or empty touches the gray of the service that it calls.
- A failure is excused only if a fault that may break requests (`kill -9`, `SIGSTOP`, a worker killed) overlaps with the request.
  Draining, the registry, rules and reloads excuse nothing.
- An instance that starts while the registry is away, or not complete again, excuses failures until it is: it has no list of its own yet.
- Faults that excuse must be recovered from in time: a service that does not become gray again is reported by `settle`.
"""

from __future__ import annotations

import contextlib
import itertools
import re
from collections import Counter, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from tests.purity.application import ARROW

SERVICES: Final = ("a", "b", "c")
FOLLOWING: Final = dict(itertools.pairwise(SERVICES))
"""Whom each calls."""
CLOSED: Final = "(lane closed)"
"""In place of a service: the lane is closed, and nobody may be on gray."""
_CODE: Final = re.compile(r'"code": "(\w+)"')
KEPT_EVENTS: Final = 400
AROUND: Final = 8.0
"""Seconds of events that are shown before a violation."""


class Hop(NamedTuple):
    """An instance that a request passed."""

    service: str
    tag: str
    number: str


@dataclass(slots=True)
class Sent:
    """A request under way, and what must hold for it."""

    number: int
    is_marked: bool
    trace: str
    at: float
    required: dict[str, int]
    troubles: int
    was_troubled: bool
    method: str = "GET"


@dataclass(slots=True)
class Violation:
    """Something that must not be."""

    kind: str
    sent: Sent
    answer: str
    at: float
    events: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        sent = self.sent
        mark = "marked" if sent.is_marked else "unmarked"
        head = (
            f"VIOLATION {self.kind}: {mark} {sent.method} #{sent.number}, trace {sent.trace}, "
            f"sent {sent.at:.3f}, answered {self.at:.3f}\n  answer: {self.answer}"
        )
        return "\n".join([head, f"  required gray: {sorted(sent.required)}", *(f"  {event}" for event in self.events)])


class Judge:
    """Counts. `clock` gives seconds; `report` gets each violation."""

    def __init__(self, clock: Callable[[], float], report: Callable[[Violation], None]) -> None:
        self._clock = clock
        self._report = report
        self.counts: Counter[str] = Counter()
        self.violations: list[Violation] = []
        self.streaks: Counter[str] = Counter()
        self._gray: dict[str, int] = {}
        self._epoch = 0
        self._active = 0
        self._troubles = 0
        self._events: deque[tuple[float, str]] = deque(maxlen=KEPT_EVENTS)

    def note(self, text: str) -> None:
        """Something happened."""
        self._events.append((self._clock(), text))

    def latest(self, at: float | None = None) -> list[str]:
        """What happened of late, and shortly before `at`."""
        since = (self._clock() if at is None else at) - AROUND
        return [f"{when:.3f} {what}" for when, what in self._events if when >= since]

    def require(self, service: str) -> None:
        """From now on marked requests must pass gray of a service; with CLOSED, nobody may pass any."""
        self._epoch += 1
        self._gray[service] = self._epoch
        self.note(f"require {service}")

    def release(self, *services: str) -> None:
        """From now on, nothing is required of them."""
        for service in services:
            if self._gray.pop(service, None) is not None:
                self.note(f"release {service}")
            self.streaks[service] = 0

    @contextlib.contextmanager
    def trouble(self, what: str) -> Iterator[None]:
        """What overlaps with this may fail."""
        self._active += 1
        self._troubles += 1
        self.note(f"trouble begins: {what}")
        try:
            yield
        finally:
            self._active -= 1
            self.note(f"trouble ends: {what}")

    def send(self, is_marked: bool, trace: str, method: str = "GET") -> Sent:
        """A request is about to be sent."""
        self.counts["requests"] += 1
        self.counts["marked"] += is_marked
        troubled = self._active > 0
        number = self.counts["requests"]
        return Sent(number, is_marked, trace, self._clock(), dict(self._gray), self._troubles, troubled, method)

    def answer(self, sent: Sent, status: int, text: str) -> None:
        """It is over; status 0: without a response."""
        if status != 200:
            self._failed(sent, f"{status} {text}")
            return
        hops = [Hop(*label.split(".")) for label in text.split(ARROW)]
        if tuple(hop.service for hop in hops) != SERVICES:
            self._violated("wrong service", sent, text)
            return
        gray = {hop.service for hop in hops if hop.tag == "gray"}
        held = {service for service, epoch in sent.required.items() if self._gray.get(service) == epoch}
        if not sent.is_marked:
            if gray:
                self._violated("unmarked on gray", sent, text)
            return
        for service in SERVICES:
            self.streaks[service] = self.streaks[service] + 1 if service in gray else 0
        self.streaks[CLOSED] = 0 if gray else self.streaks[CLOSED] + 1
        self.counts["marked on gray"] += bool(gray)
        if CLOSED in held:
            self.counts["held to the closed lane"] += 1
            if gray:
                self._violated("on gray though the lane is closed", sent, text)
            return
        held -= {CLOSED}
        self.counts["held to gray"] += bool(held)
        if held - gray:
            self._violated("marked not on gray", sent, text)

    def _failed(self, sent: Sent, text: str) -> None:
        if sent.was_troubled or sent.troubles != self._troubles:
            self.counts["failed, excused"] += 1
            codes = _CODE.findall(text)
            deepest = codes[-1] if codes else "no code"
            self.counts[f"failed, excused: {deepest}"] += 1
        else:
            self._violated("failed", sent, text)

    def _violated(self, kind: str, sent: Sent, text: str) -> None:
        self.counts[kind] += 1
        violation = Violation(kind, sent, text, self._clock(), self.latest(sent.at))
        self.violations.append(violation)
        self._report(violation)
