"""Sidecars in streams of manifests."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from gateway.errors import ConfigError
from gateway.injection.manifests import inject_text
from gateway.injection.pod import Options
from tests.support.pods import MSE, pod

OPTIONS = Options("x")


def manifest(kind: str, labels: dict[str, str] | None = None, **spec: Any) -> dict[str, Any]:
    metadata, pod_spec = pod(labels, **spec)
    template: dict[str, Any] = {"metadata": metadata, "spec": pod_spec}
    if kind == "Pod":
        return {"kind": kind, "metadata": {"name": "p", **metadata}, "spec": pod_spec}
    inner = {"template": template}
    return {
        "kind": kind,
        "metadata": {"name": "w"},
        "spec": {"jobTemplate": {"spec": inner}} if kind == "CronJob" else inner,
    }


@pytest.mark.parametrize("kind", ["Pod", "Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "Job", "CronJob"])
def test_every_kind_of_workload(kind: str) -> None:
    text, count = inject_text(yaml.safe_dump(manifest(kind)), "f", OPTIONS)
    assert (count, text.count("name: gray-sidecar\n")) == (1, 1)


def test_what_asks_for_none_stays_as_it_is_and_in_its_place() -> None:
    objects = [{"kind": "Service", "spec": {"x": 1}}, manifest("Deployment", {}), manifest("Deployment"), None]
    text, count = inject_text(yaml.safe_dump_all(objects), "f", OPTIONS)
    made = list(yaml.safe_load_all(text))
    assert (count, made[:2], len(made)) == (1, objects[:2], 3)


def test_a_list_of_objects() -> None:
    text, count = inject_text(yaml.safe_dump({"kind": "List", "items": [manifest("Pod"), 7]}), "f", OPTIONS)
    assert (count, yaml.safe_load(text)["items"][1]) == (1, 7)


def test_each_that_cannot_have_one_is_told() -> None:
    text = yaml.safe_dump_all([manifest("Pod", hostNetwork=True), manifest("Deployment", {**MSE, "gray.tag": "-"})])
    with pytest.raises(ConfigError) as error:
        inject_text(text, "f.yaml", OPTIONS)
    assert [problem.message.partition(": ")[0] for problem in error.value.problems] == ["Deployment w", "Pod p"]


def test_no_yaml() -> None:
    with pytest.raises(ConfigError, match=r"f:2:1: not YAML"):
        inject_text("a: [\n", "f", OPTIONS)


@pytest.mark.parametrize(
    "text", ["7\n", "- a\n", "kind: Deployment\n", "kind: Deployment\nspec: {template: 3}\n", "kind: [x]\n"]
)
def test_what_is_no_workload_is_passed_through(text: str) -> None:
    found, count = inject_text(text, "f", OPTIONS)
    assert (yaml.safe_load(found), count) == (yaml.safe_load(text), 0)
