"""The manifests are what the API server takes, the chart is the same, and the account may do no more than it needs."""

from __future__ import annotations

import subprocess
from typing import Any

import pytest
import yaml

from gateway.demo.registries import find_server
from tests.real.make_chart import CHART, FOLDER, made, rendered, with_component
from tests.support.kubernetes import Cluster, needs_kubernetes

pytestmark = [pytest.mark.real, needs_kubernetes]

OVERLAYS = FOLDER / "overlays"
HELM = find_server("helm")
needs_helm = pytest.mark.skipif(
    HELM is None, reason="Helm is not built (`make servers`): the chart is NOT tested with the real one"
)


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
    paths = [*(CHART / "templates").glob("*.yaml"), *CHART.glob("values.*")]
    assert {str(path.relative_to(CHART)): path.read_text() for path in paths} == made()


@needs_helm
@pytest.mark.parametrize(
    ("component", "value"), [("", ""), ("tls", "tlsSecret=gray-gateway-tls"), ("servicemonitor", "serviceMonitor=true")]
)
def test_helm_renders_the_same_objects_as_kustomize(component: str, value: str) -> None:
    expected = with_component(component) if component else rendered()
    found = helm("template", "gray-gateway", str(CHART), *(sets(value) if value else []))
    assert objects(found) == objects(expected)


@needs_helm
def test_values_of_the_chart_are_in_their_places() -> None:
    text = helm(
        "template", "x", str(CHART), "-n", "shop", *sets("image=r/i:2", "minReplicas=3", "maxReplicas=4", "tlsSecret=t")
    )
    found = {(item["kind"], item["metadata"]["name"]): item for item in objects(text)}
    assert {item["metadata"]["namespace"] for item in found.values()} == {"shop"}
    pod = found["Deployment", "gray-gateway"]["spec"]["template"]["spec"]
    scale = found["HorizontalPodAutoscaler", "gray-gateway"]["spec"]
    assert (pod["containers"][0]["image"], scale["minReplicas"], scale["maxReplicas"]) == ("r/i:2", 3, 4)
    assert {"name": "tls", "secret": {"secretName": "t"}} in pod["volumes"]


@needs_helm
def test_helm_finds_nothing_wrong_with_the_chart_and_something_with_wrong_values() -> None:
    assert "0 chart(s) failed" in helm("lint", "--strict", str(CHART))
    for value in ("minReplicas=many", "images=x", "image=", "tlsSecret=A_B", "serviceMonitor=perhaps"):
        assert value.partition("=")[0] in helm("template", "x", str(CHART), *sets(value), fails=True)


@needs_helm
@pytest.mark.parametrize("values", [(), ("tlsSecret=gray-gateway-tls",)], ids=["plain", "tls"])
def test_the_api_server_takes_what_helm_renders(cluster: Cluster, namespace: str, values: tuple[str, ...]) -> None:
    text = helm("template", "gray-gateway", str(CHART), "-n", namespace, *sets(*values))
    cluster.kubectl("apply", "--server-side", "--dry-run=server", "-f", "-", text=text)


def sets(*values: str) -> list[str]:
    return [part for value in values for part in ("--set", value)]


def helm(*arguments: str, fails: bool = False) -> str:
    """What Helm prints, or complains of if it is to fail."""
    assert HELM is not None
    done = subprocess.run([HELM, *arguments], capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode != 0) == fails, done.stderr + done.stdout
    return done.stderr if fails else done.stdout


def test_the_rules_are_created_as_they_are(cluster: Cluster, namespace: str) -> None:
    cluster.kubectl("create", "-n", namespace, "-f", str(CHART.parent / "rules.yaml"))
    assert "tag: gray" in cluster.kubectl("get", "-n", namespace, "configmap", "gray-rules", "-o", "yaml")
