"""Which ids are a copy's: so that a service which forwards only its trace id does not lose the mark of a mirror's copy."""

from __future__ import annotations

from collections.abc import Sequence

from gateway.routing.memory import TraceMemory, Visit


class CopyMemory:
    """Beside a `TraceMemory`, and bounded in the same way: ids go into the young generation, and are dropped with the old one.

    A copy has ids of its own (its mirror sees to that), so that an id is a copy's or it is not. `inside` counts the copies that
    are under way. `now` is seconds on any steady clock.
    """

    __slots__ = ("_born", "_half", "_half_ttl", "_old", "_present", "_young", "inside")

    def __init__(self, entries: int = 100_000, ttl: float = 60.0, now: float = 0.0) -> None:
        self._half: int = max(1, entries // 2)
        self._half_ttl: float = ttl / 2
        self._young: dict[bytes, None] = {}
        self._old: dict[bytes, None] = {}
        self._born: float = now
        self._present: dict[bytes, int] = {}
        self.inside: int = 0

    @property
    def is_used(self) -> bool:
        """Whether there is anything to look for."""
        return bool(self._young) or bool(self._old) or self.inside > 0

    def enter(self, memory: TraceMemory, ids: Sequence[bytes], tag: str, now: float) -> CopyVisit:
        """Takes in a copy, which `memory` has taken in with the same ids; the visit is to be left instead of that one's."""
        self._age(now)
        self.come_in(ids)
        return CopyVisit(memory, ids, tag, self)

    def come_in(self, ids: Sequence[bytes]) -> None:
        """Counts a copy among those under way."""
        self.inside += 1
        for name in ids:
            self._young[name] = None
            self._present[name] = self._present.get(name, 0) + 1

    def leave(self, ids: Sequence[bytes]) -> None:
        """Takes out what came in."""
        self.inside -= 1
        for name in ids:
            left = self._present[name] - 1
            if left:
                self._present[name] = left
            else:
                del self._present[name]

    def holds(self, name: bytes, now: float) -> bool:
        """Whether an id is a copy's."""
        self._age(now)
        return name in self._young or name in self._old or name in self._present

    def known(self) -> list[bytes]:
        """All ids, for another memory to `know`."""
        return list({**self._old, **self._young, **dict.fromkeys(self._present)})

    def know(self, ids: Sequence[bytes], now: float) -> None:
        """Takes what another memory knew for the old generation, the latest half of the bound; what this one knew goes."""
        self._old = dict.fromkeys(ids[-self._half :])
        self._young = {}
        self._born = now

    def _age(self, now: float) -> None:
        age = now - self._born
        if age >= self._half_ttl or len(self._young) >= self._half:
            self._old = self._young if age < 2 * self._half_ttl else {}
            self._young = {}
            self._born = now


class CopyVisit(Visit):
    """One copy's stay, in both memories."""

    __slots__ = ("_copies",)

    def __init__(self, memory: TraceMemory, ids: Sequence[bytes], tag: str, copies: CopyMemory) -> None:
        super().__init__(memory, ids, tag)
        self._copies = copies

    def leave(self) -> None:
        """See `Visit`."""
        if self._is_inside:
            self._copies.leave(self._ids)
        super().leave()

    def come_back(self) -> None:
        """See `Visit`."""
        if not self._is_inside:
            self._copies.come_in(self._ids)
        super().come_back()
