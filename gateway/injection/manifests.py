"""Sidecars in manifests: the pods of every kind of workload, in a stream of YAML documents."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any, Final

import yaml

from gateway.errors import ConfigError, Problem
from gateway.injection.pod import Object, Options, Refused, inject

_PODS: Final[Mapping[str, tuple[str, ...]]] = {
    "Pod": (),
    "Deployment": ("spec", "template"),
    "StatefulSet": ("spec", "template"),
    "DaemonSet": ("spec", "template"),
    "ReplicaSet": ("spec", "template"),
    "Job": ("spec", "template"),
    "CronJob": ("spec", "jobTemplate", "spec", "template"),
}
"""Where a kind of object has the pod that it makes."""


def inject_text(text: str, file: str, options: Options) -> tuple[str, int]:
    """A stream of manifests with sidecars in the pods that ask for one, and in how many. Raises ConfigError with each problem."""
    try:
        documents = list(yaml.safe_load_all(text))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        line, column = (mark.line + 1, mark.column + 1) if mark is not None else (1, 1)
        raise ConfigError([Problem(file, line, column, f"not YAML: {error.problem}")]) from error
    except yaml.YAMLError as error:
        raise ConfigError([Problem(file, 1, 1, f"not YAML: {error}")]) from error
    problems: list[Problem] = []
    made: list[Any] = []
    count = 0
    for document in documents:
        if document is None:
            continue
        items = document.get("items") if isinstance(document, dict) and document.get("kind") == "List" else None
        objects = items if isinstance(items, list) else [document]
        changed = []
        for item in objects:
            try:
                found = inject_object(item, options)
            except Refused as error:
                problems.append(Problem(file, 1, 1, f"{_called(item)}: {error}"))
                found = None
            count += found is not None
            changed.append(item if found is None else found)
        made.append({**document, "items": changed} if isinstance(items, list) else changed[0])
    if problems:
        raise ConfigError(problems)
    return yaml.safe_dump_all(made, sort_keys=False, allow_unicode=True), count


def inject_object(item: Any, options: Options) -> Object | None:
    """An object with a sidecar in its pod; None if nothing changes. Raises Refused."""
    kind = item.get("kind") if isinstance(item, dict) else None
    path = _PODS.get(kind) if isinstance(kind, str) else None
    if path is None:
        return None
    made: Object = copy.deepcopy(item)
    pod: Any = made
    for key in path:
        pod = pod.get(key) if isinstance(pod, dict) else None
    if not isinstance(pod, dict) or not isinstance(pod.get("spec"), dict):
        return None
    metadata = pod.get("metadata")
    outcome = inject(metadata if isinstance(metadata, dict) else {}, pod["spec"], options)
    if outcome.left_alone:
        return None
    pod["metadata"], pod["spec"] = outcome.metadata, outcome.spec
    return made


def _called(item: Any) -> str:
    metadata = item.get("metadata")
    name = metadata.get("name") if isinstance(metadata, dict) else None
    return f"{item.get('kind')} {name}"
