"""What pods, Deployments and StatefulSets say of a revision's replicas. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from gateway.injection.pod import ADMIN, NAME
from gateway.registry.kubernetes.slices import INBOUND_LABEL
from gateway.registry.tags import TagReader
from gateway.release.targets.base import Phase, Replica
from gateway.release.targets.manifests import REVISION, SERVICE, VERSION

Object = Mapping[str, Any]

BROKEN: Final = frozenset(
    {
        "ImagePullBackOff", "ErrImagePull", "InvalidImageName", "ErrImageNeverPull", "CrashLoopBackOff",
        "CreateContainerConfigError", "CreateContainerError", "RunContainerError",
    }
)  # fmt: skip
"""Reasons for which a container waits and does not come up by waiting."""
_TAGS: Final = TagReader()


def replicas_of(pods: Iterable[Object], workloads: Iterable[Object]) -> tuple[Replica, ...]:
    """A replica for each pod, and one for each workload that cannot make its pods, which says why."""
    found = [replica for pod in pods if (replica := _replica(pod)) is not None]
    made = {item.revision: item for item in found}
    for workload in workloads:
        trouble = _trouble(workload)
        metadata = _dict(workload, "metadata")
        name = str(_dict(metadata, "annotations").get(REVISION, ""))
        if trouble and name:
            known = made.get(name)
            version = known.version if known else ""
            shown = Replica(str(metadata.get("name")), name, version, Phase.BROKEN, "", "", "", "", message=trouble)
            found.append(shown)
    return tuple(found)


def sidecar_of(pod: Object) -> str:
    """The admin API of a pod's sidecar, host:port; empty if it has none, or no address yet."""
    host = _dict(pod, "status").get("podIP")
    spec = _dict(pod, "spec")
    names = [item.get("name") for key in ("initContainers", "containers") for item in _dicts(spec.get(key))]
    return _address(host, ADMIN) if NAME in names and isinstance(host, str) and host else ""


def _replica(pod: Object) -> Replica | None:
    metadata, status = _dict(pod, "metadata"), _dict(pod, "status")
    annotations, labels = _dict(metadata, "annotations"), _dict(metadata, "labels")
    if REVISION not in annotations or status.get("phase") in ("Succeeded", "Failed"):
        return None
    restarts, broken, message = _containers(status)
    conditions = {item.get("type"): item for item in _dicts(status.get("conditions"))}
    if metadata.get("deletionTimestamp"):
        phase = Phase.LEAVING
    elif conditions.get("Ready", {}).get("status") == "True":
        phase = Phase.READY
    else:
        phase = Phase.BROKEN if broken else Phase.STARTING
    if not message and conditions.get("PodScheduled", {}).get("status") == "False":
        message = str(conditions["PodScheduled"].get("message") or "it cannot be scheduled")
    host = status.get("podIP")
    port = _port(pod, labels)
    return Replica(
        str(metadata.get("name")),
        str(annotations[REVISION]),
        str(annotations.get(VERSION, "")),
        phase,
        str(annotations.get(SERVICE, "")),
        _TAGS.tag_of({str(key): str(value) for key, value in labels.items()}),
        _address(host, port) if isinstance(host, str) and host and port else "",
        sidecar_of(pod),
        restarts,
        "" if phase is Phase.READY else message,
    )


def _containers(status: Object) -> tuple[int, bool, str]:
    """How often containers were restarted, whether one does not come up, and what is said of it."""
    restarts, message, broken = 0, "", False
    for item in (*_dicts(status.get("initContainerStatuses")), *_dicts(status.get("containerStatuses"))):
        count = item.get("restartCount")
        restarts += count if isinstance(count, int) else 0
        waits = _dict(_dict(item, "state"), "waiting")
        if waits.get("reason") and not broken:
            broken = waits["reason"] in BROKEN
            said = waits.get("message")
            message = f"container {item.get('name')}: {waits['reason']}{f': {said}' if said else ''}"
    return restarts, broken, message


def _trouble(workload: Object) -> str:
    """Why a workload does not have the pods that it should: a quota, an admission webhook, a deadline.

    `events` are those of a StatefulSet that lacks pods.
    """
    conditions = {item.get("type"): item for item in _dicts(_dict(workload, "status").get("conditions"))}
    failure, progress = conditions.get("ReplicaFailure", {}), conditions.get("Progressing", {})
    if failure.get("status") == "True":
        return f"{failure.get('reason')}: {failure.get('message')}"
    if progress.get("status") == "False":
        return f"{progress.get('reason')}: {progress.get('message')}"
    events = _dicts(workload.get("events"))
    latest = max(events, key=lambda item: str(item.get("lastTimestamp")), default={})
    return f"{latest.get('reason')}: {latest.get('message')}" if latest else ""


def _port(pod: Object, labels: Object) -> int:
    """Where it is called: at its sidecar's port, its only one, or the one named `http`."""
    inbound = str(labels.get(INBOUND_LABEL, ""))
    if inbound.isdigit():
        return int(inbound)
    ports = [port for item in _dicts(_dict(pod, "spec").get("containers")) for port in _dicts(item.get("ports"))]
    chosen = ports if len(ports) == 1 else [port for port in ports if port.get("name") == "http"]
    number = chosen[0].get("containerPort") if len(chosen) == 1 else None
    return number if isinstance(number, int) else 0


def _address(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _dict(data: Object, key: str) -> Mapping[str, Any]:
    found = data.get(key)
    return found if isinstance(found, dict) else {}


def _dicts(value: Any) -> list[Mapping[str, Any]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []
