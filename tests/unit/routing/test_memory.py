"""What a sidecar remembers: bounded, expiring, and the latest word on an id counts."""

from __future__ import annotations

from gateway.routing.memory import TraceMemory


def test_remembers_marked_requests_only() -> None:
    memory = TraceMemory()
    memory.note(b"1", "gray", 0.0)
    memory.note(b"2", "base", 0.0)
    assert memory.recall(b"1", 1.0) == "gray"
    assert memory.recall(b"2", 1.0) is None
    assert len(memory) == 1


def test_an_unmarked_request_of_a_known_trace_is_unmarked() -> None:
    """Unmarked traffic must not follow a marked request of the same trace into gray."""
    memory = TraceMemory()
    memory.note(b"1", "gray", 0.0)
    memory.note(b"1", "base", 0.1)
    assert memory.recall(b"1", 0.2) == "base"


def test_expires() -> None:
    memory = TraceMemory(ttl=60.0)
    memory.note(b"1", "gray", 0.0)
    assert memory.recall(b"1", 29.0) == "gray"
    assert memory.recall(b"1", 31.0) == "gray"
    assert memory.recall(b"1", 61.5) is None


def test_expires_after_a_long_silence() -> None:
    memory = TraceMemory(ttl=60.0)
    memory.note(b"1", "gray", 0.0)
    assert memory.recall(b"1", 1000.0) is None


def test_is_bounded() -> None:
    memory = TraceMemory(entries=1000)
    for number in range(100_000):
        memory.note(b"%d" % number, "gray", 0.0)
        assert len(memory) <= 1000
    assert memory.recall(b"99999", 0.0) == "gray"
