"""Sidecars in manifests: the pods of every kind of workload, in a stream of YAML documents."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any, Final

import yaml

from gateway.errors import ConfigError, Problem
from gateway.injection.pod import WANTED, Object, Options, Refused, inject
from gateway.yaml.manifests import documents

_PODS: Final[Mapping[str, tuple[str, ...]]] = {
    "Pod": (),
    "PodTemplate": ("template",),
    "CronJob": ("spec", "jobTemplate", "spec", "template"),
}
"""Where a kind of object has the pod that it makes, if that is not where Deployments have it, and most others like them."""
_TEMPLATE: Final = ("spec", "template")


def inject_text(text: str, file: str, options: Options) -> tuple[str, int]:
    """A stream of manifests with sidecars in the pods that ask for one, and in how many. Raises ConfigError with each problem."""
    problems: list[Problem] = []
    made: list[Any] = []
    count = 0
    try:
        for document, node in documents(text):
            items, nodes = (document["items"], _nodes(node)) if _is_list(document) else ([document], [node])
            changed = []
            for item, item_node in zip(items, nodes, strict=True):
                try:
                    found = inject_object(item, options)
                except Refused as error:
                    problems.append(Problem(file, item_node.start_mark.line + 1, 1, f"{_called(item)}: {error}"))
                    found = None
                count += found is not None
                changed.append(item if found is None else found)
            made.append({**document, "items": changed} if _is_list(document) else changed[0])
        dumped = yaml.safe_dump_all(made, sort_keys=False, allow_unicode=True)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        line, column = (mark.line + 1, mark.column + 1) if mark is not None else (1, 1)
        raise ConfigError([Problem(file, line, column, f"not YAML: {error.problem}")]) from error
    except yaml.YAMLError as error:
        raise ConfigError([Problem(file, 1, 1, f"not YAML: {error}")]) from error
    except RecursionError as error:
        raise ConfigError([Problem(file, 1, 1, "it is nested too deeply, or within itself")]) from error
    if problems:
        raise ConfigError(problems)
    return dumped, count


def inject_object(item: Any, options: Options) -> Object | None:
    """An object with a sidecar in its pod; None if nothing changes. Raises Refused."""
    kind = item.get("kind") if isinstance(item, dict) else None
    if not isinstance(kind, str):
        return None
    made: Object = copy.deepcopy(item)
    pod: Any = made
    for key in _PODS.get(kind, _TEMPLATE):
        pod = pod.get(key) if isinstance(pod, dict) else None
    if not isinstance(pod, dict) or not isinstance(pod.get("spec"), dict):
        return None
    metadata = pod.get("metadata")
    metadata = metadata if isinstance(metadata, dict) else {}
    labels = metadata.get("labels")
    if isinstance(labels, dict) and any(key in labels for key, _ in WANTED):
        wrong = next((key for key, value in labels.items() if not isinstance(value, str)), None)
        if wrong is not None:
            raise Refused(f"the label {wrong} is not a text: put its value in quotes")
    outcome = inject(metadata, pod["spec"], options)
    if outcome.left_alone:
        return None
    pod["metadata"], pod["spec"] = outcome.metadata, outcome.spec
    return made


def _nodes(node: yaml.Node) -> list[yaml.Node]:
    """Those of the items of a List."""
    found: list[yaml.Node] = next(value.value for key, value in node.value if key.value == "items")
    return found


def _is_list(document: Any) -> bool:
    return isinstance(document, dict) and document.get("kind") == "List" and isinstance(document.get("items"), list)


def _called(item: Any) -> str:
    metadata = item.get("metadata")
    name = metadata.get("name") if isinstance(metadata, dict) else None
    return f"{item.get('kind')} {name}"
