"""What pods and Deployments say of replicas."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.release.targets.base import Phase, Replica
from gateway.release.targets.pods import replicas_of

NOTES = {
    "gray-gateway.io/revision": "1-abc",
    "gray-gateway.io/version": "1",
    "gray-gateway.io/service-name": "svc-a",
}


def pod(
    *, labels: dict[str, str] | None = None, ready: str = "True", gone: bool = False, **status: Any
) -> dict[str, Any]:
    metadata: dict[str, Any] = {"name": "a-1", "labels": labels or {}, "annotations": NOTES}
    if gone:
        metadata["deletionTimestamp"] = "now"
    spec = {
        "containers": [{"name": "c", "ports": [{"containerPort": 8080}]}],
        "initContainers": [{"name": "gray-sidecar"}],
    }
    conditions = [{"type": "Ready", "status": ready}]
    return {"metadata": metadata, "spec": spec, "status": {"podIP": "10.0.0.1", "conditions": conditions, **status}}


def waiting(reason: str, message: str = "") -> list[dict[str, Any]]:
    state = {"waiting": {"reason": reason, "message": message}}
    return [{"name": "c", "restartCount": 3, "state": state}]


def test_a_pod_is_a_replica() -> None:
    (found,) = replicas_of([pod(labels={"lane": "gray", "gray-gateway.io/inbound-port": "15080"})], ())
    assert found == Replica(
        "a-1", "1-abc", "1", Phase.READY, "svc-a", "gray", "10.0.0.1:15080", "10.0.0.1:15082"
    )  # fmt: skip


@pytest.mark.parametrize(
    ("item", "phase", "message"),
    [
        (pod(ready="False"), Phase.STARTING, ""),
        (pod(gone=True), Phase.LEAVING, ""),
        (
            pod(ready="False", containerStatuses=waiting("ImagePullBackOff", "no such image")),
            Phase.BROKEN,
            "container c: ImagePullBackOff: no such image",
        ),
        (
            pod(ready="False", containerStatuses=waiting("ContainerCreating")),
            Phase.STARTING,
            "container c: ContainerCreating",
        ),
        (
            pod(ready="False", conditions=[{"type": "PodScheduled", "status": "False", "message": "0/3 nodes"}]),
            Phase.STARTING,
            "0/3 nodes",
        ),
    ],
)
def test_how_it_is(item: dict[str, Any], phase: Phase, message: str) -> None:
    (found,) = replicas_of([item], ())
    assert (found.phase, found.message) == (phase, message)


def test_what_is_not_ours_or_is_over_is_none() -> None:
    other = pod()
    other["metadata"] = {"name": "b"}
    assert replicas_of([other, pod(phase="Failed"), {}], ()) == ()


@pytest.mark.parametrize(
    ("condition", "message"),
    [
        ({"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": "exceeded quota"}, "FailedCreate: exceeded quota"),
        ({"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded", "message": "timed out"}, "ProgressDeadlineExceeded: timed out"),
    ],
)  # fmt: skip
def test_a_deployment_that_cannot_make_its_pods_says_why(condition: dict[str, str], message: str) -> None:
    deployment = {"metadata": {"name": "a-abc", "annotations": NOTES}, "status": {"conditions": [condition]}}
    (found,) = replicas_of([], [deployment])
    assert (found.id, found.revision, found.phase, found.message) == ("a-abc", "1-abc", Phase.BROKEN, message)


def test_a_deployment_without_trouble_is_none() -> None:
    conditions = [{"type": "Progressing", "status": "True"}]
    assert replicas_of([], [{"metadata": {"annotations": NOTES}, "status": {"conditions": conditions}}]) == ()
