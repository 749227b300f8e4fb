"""The ring: what it is after instances come, go or change is what it would be if it had always been so."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Sequence
from typing import Any

import pytest

from gateway.instance import Instance
from gateway.routing.ring import NUMBER, Ring
from gateway.routing.services import Turns
from gateway.tags import BASE

MANY = tuple(Instance(f"10.0.{number >> 8}.{number & 255}", 80) for number in range(400))


def ring_of(instances: Sequence[Instance], before: Ring | None = None) -> Ring:
    weights = {item.address: item.weight for item in instances}
    return Ring(instances, weights, sum(weights.values()), before)


def owners(ring: Ring) -> list[tuple[int, str]]:
    return [(place >> 16, ring.instances[place & NUMBER].address) for place in ring.places]


def test_a_ring_made_from_another_is_as_one_made_anew() -> None:
    source = random.Random(7)
    instances = list(MANY[:200])
    ring: Ring | None = None
    for _ in range(60):
        for _ in range(source.randrange(4)):
            del instances[source.randrange(len(instances))]
        for _ in range(source.randrange(4)):
            instances.append(Instance(f"10.1.0.{source.randrange(250)}", 80, weight=source.choice([0.1, 1.0, 3.0])))
        instances = sorted({item.address: item for item in instances}.values(), key=lambda item: item.address)
        ring = ring_of(instances, ring)
        assert owners(ring) == owners(ring_of(instances))
        assert set(ring.instances.values()) == set(instances)


def test_only_who_is_new_is_hashed(monkeypatch: pytest.MonkeyPatch) -> None:
    """All of them take the event loop tens of milliseconds, after each change in a registry's list."""
    ring = ring_of(MANY)
    hashed: list[bytes] = []
    shake = hashlib.shake_128

    def noted(data: bytes) -> Any:
        hashed.append(data)
        return shake(data)

    monkeypatch.setattr(hashlib, "shake_128", noted)
    ring_of((*MANY[1:], Instance("10.9.9.9", 80)), ring)
    assert hashed == [b"10.9.9.9:80"]


def test_who_takes_the_place_of_an_instance_is_what_the_ring_gives() -> None:
    ring = ring_of(MANY[:2])
    other = Instance(MANY[0].host, 80, metadata={"pod-uid": "1"})
    found = ring_of((other, MANY[1]), ring).instances.values()
    assert any(item is other for item in found)
    assert not any(item is MANY[0] for item in found)


def test_turns_of_tags_that_are_gone_are_not_kept() -> None:
    """Lanes come and go by the thousand, and with a turn a ring would stay."""
    turns = Turns()
    kept = {tag: turns.of("a", tag) for tag in (BASE, "gray", "blue")}
    other = turns.of("b", "blue")
    turns.retain("a", {"gray"})
    assert turns.of("a", BASE) is kept[BASE]
    assert turns.of("a", "gray") is kept["gray"]
    assert turns.of("a", "blue") is not kept["blue"]
    assert turns.of("b", "blue") is other
