"""The last request records, bounded by number and by bytes, and the waiting for the next one.

Who follows them has a cursor and no queue: a client that reads slowly finds that records are gone, and how many, while
nothing is kept for it.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice

from gateway.telemetry.request_record import FIXED_COST, Reporter, RequestRecord


@dataclass(frozen=True, slots=True)
class Stored:
    """A record, its id (they grow, also over restarts), and who made it."""

    id: int
    reporter: Reporter
    record: RequestRecord

    def as_dict(self) -> dict[str, object]:
        """As plain values, for JSON."""
        reporter = {"name": self.reporter.name, "role": self.reporter.role, "tag": self.reporter.tag}
        return {"id": self.id, "reporter": {**reporter, "address": self.reporter.address}, **self.record.as_dict()}


class RecordStore:
    """At most `size` records of at most `max_bytes`.

    `first` is the id of the first one. By default it is made of the time, so that a client that comes back after a restart
    has an id that is smaller than all there are; JavaScript counts that far exactly (2^53).
    """

    def __init__(self, size: int, max_bytes: int, first: int | None = None) -> None:
        self._size = size
        self._max_bytes = max_bytes
        self._first = first if first is not None else int(time.time() * 1000) * 1000
        self._next = self._first
        self._bytes = 0
        self._records: deque[Stored] = deque()
        self._added = asyncio.Event()
        self.is_closed = False

    @property
    def last(self) -> int:
        """The id of the latest record; there may be none yet."""
        return self._next - 1

    @property
    def is_full(self) -> bool:
        """Whether the next record takes the place of an older one."""
        return len(self._records) == self._size or self._bytes > self._max_bytes - FIXED_COST

    @property
    def bytes(self) -> int:
        """What is kept, about."""
        return self._bytes

    def __len__(self) -> int:
        return len(self._records)

    def __iter__(self) -> Iterator[Stored]:
        return iter(self._records)

    def __reversed__(self) -> Iterator[Stored]:
        return reversed(self._records)

    def add(self, reporter: Reporter, records: Iterable[RequestRecord]) -> None:
        """Takes records, and wakes who waits for them. The oldest make room."""
        before = self._next
        for record in records:
            self._records.append(Stored(self._next, reporter, record))
            self._next += 1
            self._bytes += record.cost
            while len(self._records) > self._size or self._bytes > self._max_bytes:
                self._bytes -= self._records.popleft().record.cost
        if self._next != before:
            self._wake()

    def find(self, number: int) -> Stored | None:
        """The record with an id; None if it is not there any more."""
        if not self._records or not self._records[0].id <= number < self._next:
            return None
        return self._records[number - self._records[0].id]

    def after(self, cursor: int, most: int) -> tuple[int | None, list[Stored]]:
        """How many records after an id are gone, and at most so many of those that are there.

        None are gone that nobody can count, if the id is of another program: the one that was here before a restart.
        """
        if not self._first - 1 <= cursor < self._next:
            return None, list(islice(self._records, most))
        oldest = self._records[0].id if self._records else self._next
        start = max(0, cursor + 1 - oldest)
        return max(0, oldest - cursor - 1), list(islice(self._records, start, start + most))

    async def wait(self, cursor: int) -> None:
        """Returns if there is a record after an id, or none will come."""
        while not self.is_closed and self.last == cursor:
            await self._added.wait()

    def close(self) -> None:
        """Lets everybody go who waits."""
        self.is_closed = True
        self._wake()

    def _wake(self) -> None:
        self._added.set()
        self._added = asyncio.Event()
