"""The objects of one revision, as the target `kubernetes` applies them. Pure.

A revision has a Deployment of its own, `NAME-HASH`, so that each has exactly so many pods as a batch says, and what the old one
runs is never touched. A StatefulSet is one for all revisions (`stateful.py`). Everything else in a manifest is shared by the
revisions of an application in an environment.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import yaml

from gateway.errors import GatewayError
from gateway.injection.pod import SERVICE_LABELS
from gateway.release.targets.base import Place, Revision
from gateway.yaml.manifests import documents

Object = dict[str, Any]

STATEFUL: Final = "StatefulSet"
WORKLOADS: Final = ("Deployment", STATEFUL)
PREFIX: Final = "gray-gateway.io/"
MANAGED: Final = "app.kubernetes.io/managed-by"
MANAGER: Final = "gray-gateway-release"
"""Who we are: the field manager, and the value of that label."""
ENVIRONMENT: Final = f"{PREFIX}environment"
APPLICATION: Final = f"{PREFIX}application"
REVISION: Final = f"{PREFIX}revision"
"""Label: the hash of a revision. Annotation of the same name on pods: its whole name, which a label might not hold."""
VERSION: Final = f"{PREFIX}version"
SERVICE: Final = f"{PREFIX}service-name"
_LABEL_VALUE: Final = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?")


@dataclass(frozen=True, slots=True)
class Manifests:
    """The Deployment or StatefulSet of a revision, and what is shared."""

    workload: Object
    shared: tuple[Object, ...]


def scaled(deployment: Object, replicas: int) -> Object:
    """A Deployment with so many replicas."""
    return {**deployment, "spec": {**deployment["spec"], "replicas": replicas}}


def manifests_of(place: Place, revision: Revision) -> Manifests:
    """What a revision's manifest says, with namespace and labels of ours. Raises GatewayError if it cannot be deployed."""
    workload, others = _parts(revision)
    return Manifests(
        _of_revision(_owned(workload, place), place, revision), tuple(_owned(item, place) for item in others)
    )


def replicas_asked(revision: Revision) -> int:
    """How many replicas a revision's manifest asks for. Raises GatewayError."""
    workload, _ = _parts(revision)
    asked = _mapping(workload, "spec").get("replicas", 1)
    if not isinstance(asked, int) or isinstance(asked, bool) or not 0 <= asked <= 9999:
        raise GatewayError(f"replicas: a number from 0 to 9999 is accepted; found {asked!r}")
    return asked


def short(revision: str) -> str:
    """The hash at the end of a revision's name."""
    return revision.rpartition("-")[2]


def owned_by(place: Place) -> str:
    """The label selector of everything that is ours in a place."""
    return f"{MANAGED}={MANAGER},{ENVIRONMENT}={place.environment},{APPLICATION}={place.application}"


def _parts(revision: Revision) -> tuple[Object, list[Object]]:
    """The Deployment or StatefulSet of a manifest, and everything else."""
    items = _documents(revision.manifest)
    workloads = [item for item in items if item["kind"] in WORKLOADS]
    if len(workloads) != 1:
        found = ", ".join(item["kind"] for item in items) or "nothing"
        raise GatewayError(f"the target `kubernetes` wants one Deployment or StatefulSet; the manifest has: {found}")
    (workload,) = workloads
    strategy = _mapping(_mapping(workload, "spec"), "updateStrategy").get("type")
    if workload["kind"] == STATEFUL and strategy == "OnDelete":
        raise GatewayError(
            f"StatefulSet {workload['metadata']['name']}: with the updateStrategy OnDelete, nobody replaces its pods"
        )
    return workload, [item for item in items if item is not workload]


def _documents(manifest: str) -> list[Object]:
    try:
        found = [item for item, _ in documents(manifest)]
    except yaml.YAMLError as error:
        raise GatewayError(f"the manifest is not YAML: {error}") from error
    except RecursionError as error:
        raise GatewayError("the manifest is nested too deeply") from error
    for item in found:
        metadata = item.get("metadata") if isinstance(item, dict) else None
        texts = [item.get("apiVersion"), item.get("kind"), metadata.get("name")] if isinstance(metadata, dict) else []
        if not texts or not all(isinstance(text, str) and text for text in texts):
            raise GatewayError("each document of the manifest needs `apiVersion`, `kind` and `metadata.name`")
    return found


def _owned(item: Object, place: Place) -> Object:
    """A document with the place's namespace, and labels that say whose it is."""
    made = copy.deepcopy(item)
    metadata = made["metadata"]
    namespace = metadata.get("namespace", place.namespace)
    if namespace != place.namespace:
        called = f"{item['kind']} {metadata['name']}"
        raise GatewayError(
            f"{called} is for namespace {namespace}, and environment {place.environment} is in {place.namespace}"
        )
    for text in (place.environment, place.application):
        if _LABEL_VALUE.fullmatch(text) is None:
            raise GatewayError(f"'{text}' cannot be a label in Kubernetes: 1 to 63 letters, digits, '.', '_' or '-'")
    metadata["namespace"] = place.namespace
    metadata["labels"] = {**_mapping(metadata, "labels"), **_labels(place)}
    return made


def _labels(place: Place) -> Mapping[str, str]:
    return {MANAGED: MANAGER, ENVIRONMENT: place.environment, APPLICATION: place.application}


def _of_revision(workload: Object, place: Place, revision: Revision) -> Object:
    spec = _mapping(workload, "spec")
    template = _mapping(spec, "template")
    pod = _mapping(template, "metadata")
    own = {REVISION: short(revision.name)}
    labels = {**_mapping(pod, "labels"), **_labels(place), **own}
    service = next((str(labels[key]) for key in SERVICE_LABELS if labels.get(key)), revision.service)
    annotations = {
        **_mapping(pod, "annotations"),
        REVISION: revision.name,
        VERSION: revision.version,
        SERVICE: service,
    }
    metadata = dict(workload["metadata"])
    metadata["annotations"] = {**_mapping(metadata, "annotations"), REVISION: revision.name}
    made = {**spec, "template": {**template, "metadata": {**pod, "labels": labels, "annotations": annotations}}}
    if workload["kind"] != STATEFUL:
        metadata["name"] = f"{metadata['name']}-{own[REVISION]}"
        metadata["labels"] = {**metadata["labels"], **own}
        selector = _mapping(spec, "selector")
        made["selector"] = {**selector, "matchLabels": {**_mapping(selector, "matchLabels"), **own}}
    return {**workload, "metadata": metadata, "spec": made}


def _mapping(data: Mapping[str, Any], key: str) -> dict[str, Any]:
    found = data.get(key)
    return found if isinstance(found, dict) else {}
