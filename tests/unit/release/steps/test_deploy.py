"""Batches: how many of the new version and of the old one there are at each moment."""

from __future__ import annotations

import pytest

from gateway.release.model import Strategy
from gateway.release.steps.deploy import Batch, ends_of, next_batch
from gateway.release.targets.base import Phase, Replica


def replicas(count: int, phase: Phase = Phase.READY) -> list[Replica]:
    return [Replica(str(number), "r", "v", phase, "shop", "base", "", "") for number in range(count)]


@pytest.mark.parametrize(
    ("strategy", "wanted", "ends"),
    [
        ({"type": "rolling"}, 3, [1, 2, 3]),
        ({"type": "recreate"}, 3, [3]),
        ({"type": "batch", "batches": 2}, 5, [3, 5]),
        ({"type": "batch", "batches": 10}, 3, [1, 2, 3]),
        ({"type": "batch", "steps": [{"weight": 10}, {"replicas": 4}]}, 10, [1, 4, 10]),
        ({"type": "batch", "batches": 2}, 0, [0]),
    ],
)
def test_where_batches_end(strategy: dict[str, object], wanted: int, ends: list[int]) -> None:
    assert ends_of(Strategy.model_validate(strategy), wanted) == ends


@pytest.mark.parametrize(
    ("new", "known", "old", "expected"),
    [
        (replicas(0), set(), replicas(4), Batch(2, 4, False)),
        (replicas(2, Phase.STARTING), set(), replicas(4), Batch(2, 4, False)),
        (replicas(2), {"0"}, replicas(4), Batch(2, 3, False)),
        (replicas(2), {"0", "1"}, replicas(4), Batch(2, 2, False)),
        (replicas(2), {"0", "1"}, replicas(2), Batch(2, 2, True)),
    ],
    ids=["nothing new", "not ready", "one is known", "both are, the old have not left", "over"],
)
def test_an_old_instance_goes_only_for_a_new_one_that_everybody_knows(
    new: list[Replica], known: set[str], old: list[Replica], expected: Batch
) -> None:
    assert next_batch(Strategy(type="batch", batches=2), 2, 4, 4, new=new, old=old, known=known) == expected


def test_with_max_unavailable_an_old_one_may_go_before() -> None:
    strategy = Strategy(type="batch", batches=2, max_unavailable=1)
    assert next_batch(strategy, 2, 4, 4, new=[], old=replicas(4), known=set()) == Batch(2, 3, False)


def test_recreate_waits_until_the_old_have_gone() -> None:
    strategy = Strategy(type="recreate")
    assert next_batch(strategy, 2, 2, 2, new=[], old=replicas(2), known=set()) == Batch(0, 0, False)
    assert next_batch(strategy, 2, 2, 2, new=[], old=[], known=set()) == Batch(2, 0, False)


def test_new_instances_that_are_there_already_stay() -> None:
    """A deployment that came to half of its way goes on from there: it never has fewer than there were at its beginning."""
    strategy = Strategy(type="rolling")
    new, known = replicas(2), {"0", "1"}
    assert next_batch(strategy, 1, 4, 4, new=new, old=replicas(2), known=known) == Batch(2, 3, True)
    assert next_batch(strategy, 2, 4, 4, new=new, old=replicas(2), known=known) == Batch(2, 2, True)
    assert next_batch(strategy, 3, 4, 4, new=new, old=replicas(2), known=known) == Batch(3, 2, False)
