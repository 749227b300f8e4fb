"""The manifests are what the API server takes, the chart is the same, and the account may do no more than it needs."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml
from gotpl import Environment

from tests.real.make_chart import CHART, FOLDER, rendered, templates, values_text
from tests.support.kubernetes import Cluster, needs_kubernetes

OVERLAYS = FOLDER / "overlays"

pytestmark = [pytest.mark.real, needs_kubernetes]


def objects(text: str) -> list[dict[str, Any]]:
    found = [item for item in yaml.safe_load_all(text) if item]
    return sorted(found, key=lambda item: (item["kind"], item["metadata"]["name"]))


@pytest.mark.parametrize("overlay", ["minimal", "production"])
def test_an_overlay_is_applied_where_pods_are_restricted_and_rolls_out(
    cluster: Cluster, namespace: str, overlay: str
) -> None:
    """By the real admission plugin: `pod-security.kubernetes.io/enforce: restricted`."""
    cluster.kubectl("label", "namespace", namespace, "pod-security.kubernetes.io/enforce=restricted")
    text = rendered(OVERLAYS / overlay).replace("namespace: default", f"namespace: {namespace}")
    cluster.kubectl("apply", "--server-side", "-f", "-", text=text)
    cluster.kubectl("-n", namespace, "rollout", "status", "deployment/gray-gateway", "--timeout=30s")
    again = cluster.kubectl("apply", "--server-side", "-f", "-", text=text)
    assert "conflict" not in again


def test_the_account_may_see_instances_and_change_the_lanes_and_nothing_else(cluster: Cluster, namespace: str) -> None:
    text = rendered(OVERLAYS / "minimal").replace("namespace: default", f"namespace: {namespace}")
    cluster.kubectl("apply", "--server-side", "-f", "-", text=text)
    account = f"--as=system:serviceaccount:{namespace}:gray-gateway"

    def may(*what: str, where: str = namespace) -> bool:
        return cluster.says("auth", "can-i", *what, "-n", where, account) == "yes"

    assert all(may(verb, kind) for verb in ("get", "list", "watch") for kind in ("pods", "endpointslices"))
    assert all(may(verb, "configmaps/gray-rules") for verb in ("get", "list", "watch", "patch"))
    assert may("get", "services")
    refused = [
        ("get", "secrets"),
        ("delete", "pods"),
        ("patch", "configmaps/other"),
        ("create", "pods"),
        ("update", "pods"),
    ]
    assert not any(may(*what) for what in refused)
    assert not may("list", "pods", where="default")


def test_the_chart_is_made_from_the_overlay_for_production() -> None:
    files, values = templates(rendered())
    assert {path.name: path.read_text() for path in (CHART / "templates").glob("*.yaml")} == files
    assert (CHART / "values.yaml").read_text() == values_text(values)


def test_the_chart_renders_the_same_objects() -> None:
    environment = Environment(functions={"toJson": json.dumps}, missing_key="error")
    data = {"Values": yaml.safe_load((CHART / "values.yaml").read_text()), "Release": {"Namespace": "default"}}
    parts = [environment.from_string(path.read_text()).render(data) for path in (CHART / "templates").glob("*.yaml")]
    assert objects("\n---\n".join(parts)) == objects(rendered())


def test_the_rules_are_created_as_they_are(cluster: Cluster, namespace: str) -> None:
    cluster.kubectl("create", "-n", namespace, "-f", str(CHART.parent / "rules.yaml"))
    assert "tag: gray" in cluster.kubectl("get", "-n", namespace, "configmap", "gray-rules", "-o", "yaml")
