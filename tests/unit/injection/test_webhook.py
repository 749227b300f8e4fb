"""What the API server is told of a pod."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from gateway.injection.pod import Options
from gateway.injection.webhook import answer
from gateway.web.problems import Rejected
from tests.support.pods import pod

OPTIONS = Options("x")


def review(labels: dict[str, str] | None = None, **spec: Any) -> dict[str, Any]:
    metadata, pod_spec = pod(labels, **spec)
    return {"request": {"uid": "u", "namespace": "shop", "object": {"metadata": metadata, "spec": pod_spec}}}


def test_a_patch_has_what_differs_a_key_each() -> None:
    found = answer(review(), OPTIONS)["response"]
    assert (found["uid"], found["allowed"], found["patchType"]) == ("u", True, "JSONPatch")
    patch = json.loads(base64.b64decode(found["patch"]))
    assert [(item["op"], item["path"]) for item in patch] == [
        ("add", "/metadata/labels"),
        ("add", "/spec/containers"),
        ("add", "/spec/initContainers"),
    ]


def test_who_asks_for_none_is_admitted_as_it_is() -> None:
    assert answer(review({}), OPTIONS)["response"] == {"uid": "u", "allowed": True}


def test_who_cannot_have_one_is_admitted_with_a_warning() -> None:
    found = answer(review(hostNetwork=True), OPTIONS)["response"]
    assert found["allowed"] is True
    assert found["warnings"] == ["gray-gateway: no sidecar: it has the node's network: a sidecar needs its own address"]


@pytest.mark.parametrize("body", [7, {}, {"request": {}}, {"request": {"uid": 1}}, []])
def test_what_is_no_review_is_refused(body: Any) -> None:
    with pytest.raises(Rejected, match="no AdmissionReview"):
        answer(body, OPTIONS)


@pytest.mark.parametrize("item", [None, 7, {}, {"spec": 1}])
def test_what_is_no_pod_is_admitted(item: Any) -> None:
    assert answer({"request": {"uid": "u", "object": item}}, OPTIONS)["response"] == {"uid": "u", "allowed": True}
