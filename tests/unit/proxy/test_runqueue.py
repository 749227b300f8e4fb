"""What peers pile up has a slice of each turn, which they share; the rest waits its turn."""

from __future__ import annotations

from typing import Any

from gateway.proxy.runqueue import SLICE, RunQueue
from tests.support.fakes import Turns, Wired


class Work:
    """A connection that needs the whole slice each time."""

    def __init__(self, turns: Turns, done: list[str], name: str, times: int = 1, queue: RunQueue | None = None) -> None:
        self.turns, self.done, self.name, self.times, self.queue = turns, done, name, times, queue

    def go_on(self) -> None:
        self.done.append(self.name)
        self.turns.now += 2 * SLICE
        self.times -= 1
        if self.times and self.queue is not None:
            put(self.queue, self)


def put(queue: RunQueue, work: Any) -> None:
    queue.put(work.go_on)


def test_a_slice_is_of_time_and_begins_anew_each_turn() -> None:
    turns = Turns()
    queue = RunQueue(turns.call_soon, turns.clock)
    assert queue.has_time()
    turns.now += SLICE * 0.9
    assert queue.has_time()
    turns.now += SLICE * 0.2
    assert not queue.has_time()
    turns.next()
    assert queue.has_time()


def test_nothing_is_put_off_where_nobody_waits() -> None:
    turns = Turns()
    queue = RunQueue(turns.call_soon, turns.clock)
    queue.has_time()
    turns.next()
    assert turns.is_quiet


def test_who_waits_is_served_in_turn_one_slice_a_turn() -> None:
    """One that comes again goes behind the others."""
    turns = Turns()
    queue = RunQueue(turns.call_soon, turns.clock)
    done: list[str] = []
    put(queue, Work(turns, done, "a", 2, queue))
    put(queue, Work(turns, done, "b"))
    seen = []
    while not turns.is_quiet:
        turns.next()
        seen.append(list(done))
    assert seen == [["a"], ["a", "b"], ["a", "b", "a"]]


def test_what_takes_little_shares_a_turn() -> None:
    turns = Turns()
    queue = RunQueue(turns.call_soon, turns.clock)
    done: list[str] = []
    for name in "abc":
        work = Work(turns, done, name)
        put(queue, work)
        work.turns = Turns()  # its time is not this clock's: it takes none
    turns.next()
    assert (done, turns.is_quiet) == (["a", "b", "c"], True)


async def test_who_rests_is_not_read_from_until_its_turn_whatever_else_happens() -> None:
    wired = Wired()
    client, here = wired.client()
    client.rest()
    client.rest()
    read = [not here.is_paused]
    client.pause_reading()
    client.resume_reading()
    read.append(not here.is_paused)
    wired.turns.settle()
    read.append(not here.is_paused)
    assert read == [False, False, True]
    client.rest()
    client.pause_reading()
    wired.turns.settle()
    assert here.is_paused  # its turn has come, but whoever takes its bytes is still slow
    client.resume_reading()
    assert not client.is_resting
