"""What a sidecar remembers of inbound requests, so that a service which forwards only its trace id stays in its lane."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from gateway.routing.failedcalls import FailedCalls
from gateway.tags import BASE

AMBIGUOUS: Final = ""
"""What is recalled of an id that requests with different tags had at the same time: no tag."""


class TraceMemory:
    """Which tag the requests with an id have: those under way, and for a while those that are over.

    Under way: counted by tag, so that an id which a marked and an unmarked request share distinguishes nobody's calls and says
    so: also when one of them is over, or both, since calls may follow a response.

    Over: the latest request decides. Two generations, bounded in entries and in time: entries go into the young one; when
    that holds half the bound, or is half the time to live old, it becomes the old one and the old one is dropped. So an
    entry lives between half and the whole of `ttl`, every operation is a few lookups, and nothing ever scans. `now` is
    seconds on any steady clock.

    `failed_calls` are those that failed on behalf of these requests.

    `keeps_unmarked`: the ids of unmarked requests are remembered, too. Otherwise they are not worth an entry, as nothing known of
    an id and no tag are the same; not if calls of which nothing is known are given a tag.
    """

    __slots__ = (
        "_born",
        "_given_up",
        "_given_up_until",
        "_half",
        "_half_ttl",
        "_inside",
        "_keeps_unmarked",
        "_old",
        "_old_rules",
        "_other_until",
        "_present",
        "_young",
        "_young_rules",
        "failed_calls",
    )

    def __init__(
        self, entries: int = 100_000, ttl: float = 60.0, now: float = 0.0, *, keeps_unmarked: bool = False
    ) -> None:
        self._half: int = max(1, entries // 2)
        self._half_ttl: float = ttl / 2
        self._young: dict[bytes, str] = {}
        self._old: dict[bytes, str] = {}
        self._young_rules: dict[bytes, str] = {}  # of the ids that have some there
        self._old_rules: dict[bytes, str] = {}
        self._born: float = now
        self._present: dict[bytes, dict[str, int]] = {}
        self._inside: dict[str, int] = {}
        self._keeps_unmarked = keeps_unmarked
        self._given_up: str = BASE
        self._given_up_until: float = 0.0
        self._other_until: float = 0.0
        self.failed_calls = FailedCalls()

    def __len__(self) -> int:
        return len(self._young) + len(self._old)

    @property
    def inside(self) -> Mapping[str, int]:
        """How many requests are under way, by tag, whether they have an id or not."""
        return self._inside

    def common_tag(self, now: float) -> str:
        """The tag that all requests have that may be making calls; `base` if they differ, or none is under way."""
        inside = self._inside
        if len(inside) != 1:
            return BASE
        tag = next(iter(inside))
        until = self._other_until if tag == self._given_up else self._given_up_until
        return tag if until <= now else BASE

    def abandon(self, tag: str, now: float) -> None:
        """A request was given up before its response, by its client or for lack of time: the application may not know yet.

        It may be calling for as long as ids are remembered. Of such requests the latest counts, and the latest with another tag.
        """
        if tag != self._given_up:
            self._other_until = self._given_up_until
            self._given_up = tag
        self._given_up_until = now + 2 * self._half_ttl

    def enter(self, ids: Sequence[bytes], tag: str, now: float, rules: str = "") -> Visit:
        """Takes in a request with these ids; the visit is to be left when it is over.

        `rules` is the digest of the terms by which it was decided, empty if none are known.
        """
        self._age(now)
        self.come_in(ids, tag)
        if rules:
            for name in ids:
                self._young_rules[name] = rules
        return Visit(self, ids, tag)

    def come_in(self, ids: Sequence[bytes], tag: str) -> None:
        """Counts a request among those under way."""
        self._inside[tag] = self._inside.get(tag, 0) + 1
        for name in ids:
            tags = self._present.get(name)
            if tags is None:
                self._present[name] = {tag: 1}
                latest = tag
            else:
                tags[tag] = tags.get(tag, 0) + 1
                latest = tag if len(tags) == 1 and self._remembered(name) != AMBIGUOUS else AMBIGUOUS
            # Baseline traffic is not worth an entry, unless the id is known with another tag: the latest word on an id
            # counts after all its requests are over.
            if latest != BASE or self._keeps_unmarked or name in self._young or name in self._old:
                self._young[name] = latest

    def leave(self, ids: Sequence[bytes], tag: str) -> None:
        """Takes out what came in."""
        left = self._inside[tag] - 1
        if left:
            self._inside[tag] = left
        else:
            del self._inside[tag]
        for name in ids:
            tags = self._present[name]
            tags[tag] -= 1
            if not tags[tag]:
                del tags[tag]
                if not tags:
                    del self._present[name]

    def recall(self, name: bytes, now: float) -> str | None:
        """The tag of the requests with this id; AMBIGUOUS if they differ or did so together, None if there are none."""
        self._age(now)
        tags = self._present.get(name)
        remembered = self._remembered(name)
        if remembered == AMBIGUOUS or (tags is not None and len(tags) > 1):
            return AMBIGUOUS
        if tags is not None:
            for tag in tags:
                return tag
        return remembered

    def is_inside(self, name: bytes) -> bool:
        """Whether a request with this id is under way."""
        return name in self._present

    def rules_of(self, name: bytes) -> str:
        """The digest of the terms by which the latest request with this id was decided; empty if that is not known."""
        return self._young_rules.get(name) or self._old_rules.get(name) or ""

    def _remembered(self, name: bytes) -> str | None:
        tag = self._young.get(name)
        return tag if tag is not None else self._old.get(name)

    def known(self) -> dict[bytes, str]:
        """The tag of every id, or AMBIGUOUS, for another memory to `know`."""
        present = {name: AMBIGUOUS if len(tags) > 1 else next(iter(tags)) for name, tags in self._present.items()}
        return {**self._old, **self._young, **present}

    def know(self, entries: Mapping[bytes, str], now: float) -> None:
        """Takes what another memory knew for the old generation, the latest half of the bound; what this one knew goes."""
        self._old = dict(list(entries.items())[-self._half :])
        self._young = {}
        self._young_rules = {}
        self._old_rules = {}
        self._born = now

    def _age(self, now: float) -> None:
        age = now - self._born
        if age >= self._half_ttl or len(self._young) >= self._half:
            is_recent = age < 2 * self._half_ttl
            self._old = self._young if is_recent else {}
            self._old_rules = self._young_rules if is_recent else {}
            self._young = {}
            self._young_rules = {}
            self._born = now


class Visit:
    """One inbound request's stay in the memory. It is outside while it waits for a connection to the application."""

    __slots__ = ("_ids", "_is_inside", "_memory", "_tag")

    def __init__(self, memory: TraceMemory, ids: Sequence[bytes], tag: str) -> None:
        self._memory = memory
        self._ids = ids
        self._tag = tag
        self._is_inside: bool = True

    def has_failed_call(self, since: float, now: float) -> bool:
        """Whether a call that was, or may have been, made for the request failed `since` then, or waits in vain.

        On `perf_counter`'s clock.
        """
        return self._memory.failed_calls.has_one(self._ids, self._tag, since, now)

    def abandon(self, now: float) -> None:
        """Nobody waits for the application's response any more."""
        if self._is_inside:
            self._memory.abandon(self._tag, now)

    def leave(self) -> None:
        """The application has the request no more, or not yet."""
        if self._is_inside:
            self._is_inside = False
            self._memory.leave(self._ids, self._tag)

    def come_back(self) -> None:
        """The application gets the request after all."""
        if not self._is_inside:
            self._is_inside = True
            self._memory.come_in(self._ids, self._tag)
