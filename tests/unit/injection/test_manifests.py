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


@pytest.mark.parametrize("kind", ["Pod", "Deployment", "StatefulSet", "Job", "CronJob", "CloneSet", "Rollout"])
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
    found = [(problem.line, problem.message.partition(": ")[0]) for problem in error.value.problems]
    assert found == [(1, "Pod p"), (text.count("\n", 0, text.index("---")) + 2, "Deployment w")]


def test_no_yaml() -> None:
    with pytest.raises(ConfigError, match=r"f:2:1: not YAML"):
        inject_text("a: [\n", "f", OPTIONS)


@pytest.mark.parametrize(
    "text", ["7\n", "- a\n", "kind: Deployment\n", "kind: Deployment\nspec: {template: 3}\n", "kind: [x]\n"]
)
def test_what_is_no_workload_is_passed_through(text: str) -> None:
    found, count = inject_text(text, "f", OPTIONS)
    assert (yaml.safe_load(found), count) == (yaml.safe_load(text), 0)


def test_each_object_of_a_list_is_told_with_its_line() -> None:
    text = "kind: List\nitems:\n- kind: Service\n- " + yaml.safe_dump(manifest("Pod", hostNetwork=True)).replace(
        "\n", "\n  "
    )
    with pytest.raises(ConfigError, match=r"^f:4:1: Pod p: it has the node's network"):
        inject_text(text, "f", OPTIONS)


def test_scalars_mean_what_they_mean_to_kubectl() -> None:
    """To PyYAML, `12:30:00` is a number and `2026-01-01` a date."""
    values = {"a": "12:30:00", "b": "2026-01-01", "c": "=", "d": "1:2", "e": "0o17", "f": "1e3", "g": "on"}
    numbers = {"h": 1.5, "i": 8, "j": 31, "k": True, "l": None}
    plain = "a: 12:30:00, b: 2026-01-01, c: =, d: 1:2, e: 0o17, f: 1e3, g: 'on', h: 1.5, i: 010, j: 0x1F, k: on, l: ~"
    text, _ = inject_text(f"kind: X\nspec: {{{plain}}}\n", "f", OPTIONS)
    assert yaml.safe_load(text)["spec"] == {**values, **numbers}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\na: 2\n", "f:2:1: not YAML: the key 'a' is given twice"),
        ("x: {a: 1, a: 2}\n", "the key 'a' is given twice"),
        ("[" * 20_000, "f:1:1: it is nested too deeply"),
        ("a: !!python/object:os.system x\n", "f:1:4: not YAML: could not determine a constructor"),
        ("a: \x00\n", "not YAML"),
        ("? [1]\n: 2\n", "not YAML: found unhashable key"),
        (
            'kind: Pod\nmetadata: {name: "a\\eb", labels: {msePilotAutoEnable: on}}\nspec: {}\n',
            "the label msePilotAutoEnable is not a text: put its value in quotes",
        ),
    ],
    ids=["twice", "twice within", "deep", "object", "NUL", "list as key", "on"],
)
def test_what_kubectl_would_not_take_either_is_refused(text: str, message: str) -> None:
    with pytest.raises(ConfigError) as error:
        inject_text(text, "f", OPTIONS)
    assert message in str(error.value)


@pytest.mark.parametrize(
    "text", ["a: &x [*x]\n", "kind: Pod\nspec: &x {containers: [*x]}\n", "a: &a [1, 1]\nb: [*a, *a]\n"]
)
def test_anchors_do_no_harm(text: str) -> None:
    assert inject_text(text, "f", OPTIONS)[1] == 0
