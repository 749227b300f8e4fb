"""The guards of lanes at work: counters of all processes go in, lanes that hurt are closed, shrunk, held or warned of."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from gateway.app.fleet import Fleet
from gateway.control.guard.action import FAILED, action_of
from gateway.control.guard.judge import Verdict
from gateway.control.guard.watch import LaneWatch, looked, terms_of
from gateway.control.guard.webhook import Webhook
from gateway.errors import GatewayError
from gateway.rulesources.documents import ConflictError
from gateway.ruletools.edit import LaneEditor, NotThere, Outdated

if TYPE_CHECKING:
    from gateway.rules.model import Lane, LaneGroup

_log = logging.getLogger("gateway.guard")

INTERVAL: Final = 5.0
"""Seconds between two looks at the counters: how exact a window is."""
KEPT: Final = 30
"""Verdicts on windows that are remembered of a lane, open or not."""
AUTHOR: Final = "guard"
"""Who changes lanes, in the history."""
TRIPPED: Final = "tripped"

Key = tuple[str, str]
"""Group and lane."""


@dataclass(frozen=True, slots=True)
class Event:
    """What a guard did. `lane` is what the rules said of the lane after that: if they say something else, it is over."""

    lane: Lane
    outcome: str
    reason: str
    at: float


class Guarding:
    """Watches the lanes that have a guard and are open. `clock` gives seconds since the epoch.

    `verdicts` counts windows by group, lane and state.
    """

    def __init__(
        self, fleet: Fleet, editor: LaneEditor, webhook: Webhook, clock: Callable[[], float] = time.time
    ) -> None:
        self._fleet = fleet
        self._editor = editor
        self._webhook = webhook
        self._clock = clock
        self._watched: dict[Key, tuple[Lane, list[str], LaneWatch]] = {}
        """With the services that it is compared by."""
        self._overtaken: set[Key] = set()
        """Lanes that should have been changed when somebody else was changing the rules."""
        self._events: dict[Key, Event] = {}
        self._past: dict[Key, deque[tuple[float, Verdict]]] = {}
        self.verdicts: Counter[tuple[str, str, str]] = Counter()

    async def run(self) -> None:
        """Looks again and again. Never returns."""
        while True:
            await asyncio.sleep(INTERVAL)
            await self.look()

    async def look(self) -> None:
        """Looks at the counters, and acts if two windows in a row say so."""
        guarded = self._guarded()
        if not guarded:
            return
        await self._fleet.refresh()
        exchanges, now = self._fleet.totals().traffic.exchanges, self._clock()
        for key, (group, lane) in guarded.items():
            assert lane.guard is not None
            counted = looked(exchanges, group.services, lane.tag)
            known = self._watched.get(key)
            if known is None or known[:2] != (lane, group.services):
                watch = LaneWatch(terms_of(lane.guard), lane.guard.window, now, counted)
                self._watched[key] = lane, group.services, watch
                self._overtaken.discard(key)
                continue
            watch = known[2]

            def count(state: str, key: Key = key) -> None:
                self.verdicts[*key, state] += 1

            acts = watch.take(now, counted, count)
            if watch.at == now:
                self._past.setdefault(key, deque(maxlen=KEPT)).append((now, watch.verdict))
            if acts or key in self._overtaken:
                await self._act(key, lane, watch.verdict.reason, now)
            elif watch.is_good:
                self._events.pop(key, None)

    def describe(self, group: str, lane: Lane) -> dict[str, Any] | None:
        """What is known of a lane's guard as plain values; None: it has none."""
        if lane.guard is None:
            return None
        event, known = self._events.get((group, lane.name)), self._watched.get((group, lane.name))
        said: dict[str, Any] = {"state": None, "windows": 0, "reason": None, "at": None, "outcome": None}
        said["past"] = [
            {"at": at, "state": verdict.state, "reason": verdict.reason}
            for at, verdict in self._past.get((group, lane.name), ())
        ]
        if known is not None:
            watch = known[2]
            said |= {"state": watch.verdict.state, "windows": watch.in_a_row, "reason": watch.verdict.reason}
            said["at"] = watch.at or None
        if event is not None and event.lane == lane:
            said |= {"state": TRIPPED, "outcome": event.outcome, "reason": event.reason, "at": event.at}
        return {"then": lane.guard.then, **said}

    def tripped(self) -> Mapping[Key, bool]:
        """Whether the guard of each lane that has one has acted."""
        return {
            key: key in self._events and self._events[key].lane == lane
            for key, (_, lane) in self._lanes().items()
            if lane.guard is not None
        }

    def deliveries(self) -> Mapping[str, int]:
        """Events by what became of their delivery to the webhook."""
        return self._webhook.counts

    def _lanes(self) -> dict[Key, tuple[LaneGroup, Lane]]:
        groups = self._fleet.plane.rules.groups
        return {(group.name, lane.name): (group, lane) for group in groups for lane in group.lanes}

    def _guarded(self) -> dict[Key, tuple[LaneGroup, Lane]]:
        """The lanes that are to be watched now. What is known of others is forgotten."""
        plane, now = self._fleet.plane, self._clock()
        lanes = self._lanes()
        guarded = {
            key: (group, lane)
            for key, (group, lane) in lanes.items()
            if lane.guard is not None
            and group.enabled
            and lane.enabled
            and (lane.expires is None or lane.expires.timestamp() > now)
            and plane.around.place.takes(group)
        }
        self._watched = {key: known for key, known in self._watched.items() if key in guarded}
        self._overtaken &= guarded.keys()
        self._events = {
            key: event for key, event in self._events.items() if key in lanes and lanes[key][1] == event.lane
        }
        self._past = {key: past for key, past in self._past.items() if key in lanes and lanes[key][1].guard is not None}
        for counted in [counted for counted in self.verdicts if counted[:2] not in lanes]:
            del self.verdicts[counted]
        return guarded

    async def _act(self, key: Key, lane: Lane, reason: str, now: float) -> None:
        before = self._events.get(key)
        if before is not None and before.outcome != FAILED:
            return  # people know
        action, name = action_of(lane, now), "/".join(key)
        outcome = action.outcome
        is_again = key in self._overtaken
        self._overtaken.discard(key)
        if action.values:
            try:
                etag = self._editor.view(*key).etag
                await self._editor.put(*key, action.values, etag, AUTHOR, f"{action.what}: {reason}")
            except (GatewayError, ConflictError, OSError) as error:
                if isinstance(error, ConflictError | NotThere | Outdated) and not is_again:
                    # As a rule another gateway, which has seen the same. If the lane is as it was by then, the next look acts.
                    self._overtaken.add(key)
                    return
                outcome = FAILED
                _log.error(
                    "lane %s should be %s, but the rules cannot be changed: %s; %s", name, action.what, error, reason
                )
        if outcome != FAILED:
            _log.warning("lane %s %s: %s", name, action.what, reason)
        _, found = self._lanes().get(key, (None, lane))
        self._events[key] = Event(found, outcome, reason, now)
        self._webhook.tell(
            {
                "event": "lane_guard",
                "group": key[0],
                "lane": key[1],
                "tag": lane.tag,
                "owner": lane.owner or None,
                "outcome": outcome,
                "what": action.what,
                "reason": reason,
                "at": now,
            }
        )
