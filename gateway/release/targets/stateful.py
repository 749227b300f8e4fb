"""How many pods of which revision a StatefulSet has. Pure.

Its pods have names and volumes of their own, so that all revisions share the one object: pods whose ordinal is below `partition`
stay as they are, those from it on are of the latest revision. There is no surge: a pod goes before its successor comes.
https://kubernetes.io/docs/concepts/workloads/controllers/statefulset/#partitions
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from gateway.release.targets.base import Replica


class Rollout(NamedTuple):
    """`replicas` pods, of which the first `partition` are not of the latest revision."""

    replicas: int
    partition: int

    def with_new(self, count: int) -> Rollout:
        """So many of the latest revision: they take the place of others, from the last one on. None at all: nobody is left."""
        replicas = max(self.replicas, count) if count else 0
        return Rollout(replicas, replicas - count if count else 0)

    def with_old(self, count: int) -> Rollout:
        """At most so many of others; what is of the latest revision stays as many."""
        old = min(self.partition, self.replicas)
        kept = min(old, count)
        return Rollout(self.replicas - old + kept, kept)


def rollout_of(item: Mapping[str, Any]) -> Rollout:
    """What a StatefulSet of the API server says."""
    spec = item["spec"]
    rolling = (spec.get("updateStrategy") or {}).get("rollingUpdate") or {}
    return Rollout(spec.get("replicas", 1), rolling.get("partition", 0))


def rolled(item: Mapping[str, Any], rollout: Rollout) -> dict[str, Any]:
    """A StatefulSet with such a rollout."""
    spec = item["spec"]
    rolling = {**((spec.get("updateStrategy") or {}).get("rollingUpdate") or {}), "partition": rollout.partition}
    strategy = {"type": "RollingUpdate", "rollingUpdate": rolling}
    return {**item, "spec": {**spec, "replicas": rollout.replicas, "updateStrategy": strategy}}


def kept_beside(replicas: Iterable[Replica], revision: str, rollout: Rollout) -> int:
    """How many pods below the partition are of other revisions than this one."""
    ordinals = {item.id: item.id.rpartition("-")[2] for item in replicas if item.revision != revision}
    return sum(ordinal.isdigit() and int(ordinal) < rollout.partition for ordinal in ordinals.values())
