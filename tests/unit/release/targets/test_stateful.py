"""How many pods of a StatefulSet are of which revision."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.release.model import Strategy
from gateway.release.steps.deploy import ends_of, next_batch
from gateway.release.targets.base import Phase, Replica
from gateway.release.targets.stateful import Rollout, kept_beside, rolled, rollout_of


@pytest.mark.parametrize(
    ("now", "count", "expected"),
    [
        (Rollout(0, 0), 2, Rollout(2, 0)),
        (Rollout(4, 0), 1, Rollout(4, 3)),
        (Rollout(4, 3), 3, Rollout(4, 1)),
        (Rollout(4, 1), 4, Rollout(4, 0)),
        (Rollout(4, 1), 6, Rollout(6, 0)),
        (Rollout(4, 4), 0, Rollout(0, 0)),
    ],
)
def test_new_ones_take_the_place_of_old_ones_from_the_last_one_on(now: Rollout, count: int, expected: Rollout) -> None:
    assert now.with_new(count) == expected


@pytest.mark.parametrize(
    ("now", "count", "expected"),
    [
        (Rollout(4, 3), 3, Rollout(4, 3)),
        (Rollout(4, 3), 9, Rollout(4, 3)),
        (Rollout(4, 3), 2, Rollout(3, 2)),
        (Rollout(4, 3), 0, Rollout(1, 0)),
        (Rollout(4, 9), 1, Rollout(1, 1)),
        (Rollout(4, 0), 0, Rollout(4, 0)),
    ],
)
def test_fewer_old_ones_and_as_many_new_ones(now: Rollout, count: int, expected: Rollout) -> None:
    assert now.with_old(count) == expected


@pytest.mark.parametrize("strategy", [None, {"type": "RollingUpdate"}, {"rollingUpdate": {"maxUnavailable": 2}}])
def test_what_else_the_strategy_says_stays(strategy: dict[str, Any] | None) -> None:
    spec = {} if strategy is None else {"updateStrategy": strategy}
    made = rolled({"spec": spec}, Rollout(4, 1))
    assert rollout_of(made) == Rollout(4, 1)
    kept = (strategy or {}).get("rollingUpdate", {})
    assert made["spec"]["updateStrategy"] == {"type": "RollingUpdate", "rollingUpdate": {**kept, "partition": 1}}
    assert rollout_of({"spec": spec}) == Rollout(1, 0)


def test_pods_of_others_below_the_partition() -> None:
    replicas = [
        Replica(name, revision, revision, Phase.READY, "a", "base", "", "")
        for name, revision in (("a-0", "1"), ("a-1", "2"), ("a-2", "2"), ("a-3", "3"), ("a", "2"))
    ]
    assert kept_beside(replicas, "1", Rollout(4, 2)) == 1


@pytest.mark.parametrize("batches", [1, 2, 4])
@pytest.mark.parametrize(("had", "wanted"), [(4, 4), (4, 2), (2, 4), (0, 3), (3, 1)])
def test_every_deployment_in_batches_comes_to_its_end(had: int, wanted: int, batches: int) -> None:
    """Together with what the step `deploy` asks for; pods become what they should be one at a time."""
    strategy = Strategy(type="batch", batches=batches)
    now, pods = Rollout(had, 0), dict.fromkeys(range(had), "old")

    def of(revision: str) -> list[Replica]:
        found = [ordinal for ordinal, item in pods.items() if item == revision]
        return [Replica(f"a-{ordinal}", revision, "", Phase.READY, "a", "base", "", "") for ordinal in found]

    is_applied = False
    for end in ends_of(strategy, wanted):
        for _ in range(50):
            new, old = of("new"), of("old")
            known = [item.id for item in new]
            batch = next_batch(strategy, end, wanted, had, new=new, old=old, known=known)
            if batch.is_over:
                break
            now = (now if is_applied else Rollout(now.replicas, now.replicas)).with_new(batch.new)
            is_applied = True
            now = now.with_old(min(batch.old, had))
            gone = [item for item in pods if item >= now.replicas]  # the controller deletes these first
            wrong = [item for item in range(now.partition, now.replicas) if pods.get(item) != "new"]
            if gone:
                del pods[gone[-1]]
            elif wrong:
                pods[wrong[-1]] = "new"
        assert batch.is_over
        assert len(of("new")) == end
    assert pods == dict.fromkeys(range(wanted), "new")
