"""What a sidecar remembers of inbound requests, so that a service which forwards only its trace id stays in its lane."""

from __future__ import annotations

from gateway.routing.instance import BASE


class TraceMemory:
    """Trace id → tag, bounded in entries and in time.

    Two generations: entries go into the young one; when that holds half the bound, or is half the time to live old, it
    becomes the old one and the old one is dropped. So an entry lives between half and the whole of `ttl`, every
    operation is one or two look-ups, and nothing ever scans. `now` is seconds on any steady clock.
    """

    __slots__ = ("_born", "_half", "_half_ttl", "_old", "_young")

    def __init__(self, entries: int = 100_000, ttl: float = 60.0, now: float = 0.0) -> None:
        self._half: int = max(1, entries // 2)
        self._half_ttl: float = ttl / 2
        self._young: dict[bytes, str] = {}
        self._old: dict[bytes, str] = {}
        self._born: float = now

    def __len__(self) -> int:
        return len(self._young) + len(self._old)

    def note(self, trace_id: bytes, tag: str, now: float) -> None:
        """Remembers what an inbound request carried.

        Baseline traffic is not worth an entry, unless the id is known with another tag: one trace may hold marked and
        unmarked requests, and then the latest says what follows.
        """
        self._age(now)
        if tag != BASE or trace_id in self._young or trace_id in self._old:
            self._young[trace_id] = tag

    def recall(self, trace_id: bytes, now: float) -> str | None:
        """The tag last noted for the id, or None."""
        self._age(now)
        tag = self._young.get(trace_id)
        return tag if tag is not None else self._old.get(trace_id)

    def _age(self, now: float) -> None:
        age = now - self._born
        if age >= self._half_ttl or len(self._young) >= self._half:
            self._old = self._young if age < 2 * self._half_ttl else {}
            self._young = {}
            self._born = now
