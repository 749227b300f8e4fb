"""Whatever a pod looks like, it gets a sidecar, is left alone, or is refused: nothing else comes out."""

from __future__ import annotations

import copy
import json
from typing import Any

import yaml
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import ConfigError
from gateway.injection.manifests import inject_text
from gateway.injection.pod import NAME, Options, Refused, inject
from gateway.injection.webhook import answer
from tests.support.pods import MSE, pod

SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-9, 70_000),
    st.sampled_from(["", "true", "http", "\x1b[2J", "\u202e", "9" * 9]),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(["name", "ports", "env"]), inner),
)
ANNOTATIONS = ["port", "http-proxy", "intercept", "intercept-ports", "intercept-networks"]
PLACES = [
    ("metadata", "annotations"), ("metadata", "labels"), ("spec", "containers"), ("spec", "initContainers"), ("spec", "os"),
    ("spec", "nodeSelector"), ("spec", "securityContext"), ("spec", "hostNetwork"), ("spec", "containers", 0, "ports"),
    ("spec", "containers", 0, "lifecycle"), ("spec", "containers", 0, "env"), ("spec", "containers", 0, "securityContext"),
    ("spec", "containers", 0, "name"), ("spec", "containers", 0, "ports", 0, "containerPort"),
    *(("metadata", "labels", key) for key in (*MSE, "lane", "gray-gateway.io/inject")),
    *(("metadata", "annotations", f"gray-gateway.io/{key}") for key in ANNOTATIONS),
]  # fmt: skip


@st.composite
def pods(draw: st.DrawFn) -> dict[str, Any]:
    """A pod that asks for a sidecar, with anything at some of the places that are looked at."""
    metadata, spec = pod()
    made = copy.deepcopy({"metadata": {**metadata, "annotations": {}}, "spec": spec})
    for *path, last in draw(st.lists(st.sampled_from(PLACES), max_size=4)):
        holder: Any = made
        for key in path:
            if isinstance(holder, list) and holder and key == 0:
                holder = holder[0]
            else:
                holder = holder.get(key) if isinstance(holder, dict) else None
        if isinstance(holder, dict):
            holder[last] = draw(VALUES)
    return made


@given(pods(), st.booleans())
def test_a_pod(item: dict[str, Any], is_native: bool) -> None:
    before, options = copy.deepcopy(item), Options("x", is_native)
    metadata = item["metadata"] if isinstance(item["metadata"], dict) else {}
    try:
        outcome = inject(metadata, item["spec"], options)
    except Refused:
        pass
    else:
        names = [
            each["name"]
            for key in ("containers", "initContainers")
            for each in outcome.spec.get(key) or ()
            if each.get("name") == NAME
        ]
        assert outcome.left_alone or names == [NAME]
    assert item == before
    response = answer({"request": {"uid": "u", "object": item}}, options)["response"]
    json.dumps(response)
    assert all(text.isprintable() and len(text) < 400 for text in response.get("warnings", ()))


@given(pods(), st.sampled_from(["Pod", "List"]))
def test_a_manifest(item: dict[str, Any], kind: str) -> None:
    one = {"apiVersion": "v1", "kind": "Pod", **item}
    text = yaml.safe_dump(one if kind == "Pod" else {"kind": "List", "items": [one]})
    try:
        found, count = inject_text(text, "f", Options("x"))
    except ConfigError:
        return
    assert count or yaml.safe_load(found) == yaml.safe_load(text)
    assert inject_text(found, "f", Options("x"))[1] == 0, "a second time, nothing happens"
