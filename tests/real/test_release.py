"""Revisions deployed to a real control plane: batches are exact, what is not rendered any more goes, refusals are readable."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
import yaml

from gateway.errors import GatewayError
from gateway.kubernetes.access import open_access
from gateway.kubernetes.client import ApiClient
from gateway.release.targets.base import Phase, Place, Replica, Revision
from gateway.release.targets.kubernetes import KubernetesTarget
from tests.support.kubernetes import Cluster, needs_kubernetes

pytestmark = [pytest.mark.real, needs_kubernetes]


@pytest.fixture
async def target(cluster: Cluster, namespace: str) -> AsyncIterator[KubernetesTarget]:
    """With an account that may do no more than `docs/kubernetes.md` says."""
    rbac = "rbac.authorization.k8s.io"
    verbs = ["get", "list", "create", "update", "patch", "delete"]
    rules = [
        {"apiGroups": [""], "resources": ["configmaps", "services"], "verbs": verbs},
        {"apiGroups": ["apps"], "resources": ["deployments"], "verbs": verbs},
        {"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list"]},
    ]
    subject = {"apiGroup": rbac, "kind": "User", "name": "gateway"}
    reference = {"apiGroup": rbac, "kind": "Role", "name": "release"}
    head = {"apiVersion": f"{rbac}/v1", "metadata": {"name": "release"}}
    cluster.apply(
        {**head, "kind": "Role", "rules": rules},
        {**head, "kind": "RoleBinding", "roleRef": reference, "subjects": [subject]},
        namespace=namespace,
    )
    client = ApiClient(open_access(str(cluster.kubeconfig("gateway", namespace))))
    target = KubernetesTarget(client)
    async with asyncio.timeout(15):
        while True:  # the authorizer learns of a role a moment later
            try:
                await target.observe(Place("any", namespace, "any"))
                break
            except GatewayError:
                await asyncio.sleep(0.02)
    yield target
    await target.close()


def revision(
    version: str, *more: dict[str, Any], replicas: int = 4, annotations: dict[str, str] | None = None
) -> Revision:
    template = {
        "metadata": {"labels": {"app": "a", "msePilotCreateAppName": "svc-a"}, "annotations": annotations or {}},
        "spec": {"containers": [{"name": "c", "image": f"a:{version}", "ports": [{"containerPort": 8080}]}]},
    }
    spec = {
        "replicas": replicas,
        "selector": {"matchLabels": {"app": "a"}},
        "template": template,
        "progressDeadlineSeconds": 2,
    }
    service = {"selector": {"app": "a"}, "ports": [{"port": 80}]}
    items = [
        {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "a"}, "spec": spec},
        {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "a"}, "spec": service},
        *more,
    ]
    return Revision.of(version, "svc-a", yaml.safe_dump_all(items), {}, {})


async def becomes(
    target: KubernetesTarget, place: Place, condition: Callable[[tuple[Replica, ...]], object]
) -> tuple[Replica, ...]:
    async with asyncio.timeout(40):
        while not condition(found := await target.observe(place)):
            await asyncio.sleep(0.05)
    return found


def ready(replicas: tuple[Replica, ...]) -> Counter[str]:
    return Counter(item.version for item in replicas if item.phase is Phase.READY)


SETTINGS = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "settings"}, "data": {"a": "1"}}


async def test_batches_are_exact_and_what_is_no_longer_rendered_goes(
    cluster: Cluster, namespace: str, target: KubernetesTarget
) -> None:
    place = Place("prod", namespace, "a")
    old, new = revision("1", SETTINGS), revision("2")
    assert await target.replicas_wanted(new) == 4
    await target.apply(place, old, 4)
    found = await becomes(target, place, lambda found: ready(found) == {"1": 4})
    assert {(item.service, item.tag, item.revision, item.address[-5:]) for item in found} == {
        ("svc-a", "base", old.name, ":8080")
    }
    await target.apply(place, new, 1)
    await target.scale(place, old.name, 3)
    await becomes(target, place, lambda found: ready(found) == {"1": 3, "2": 1} and len(found) == 4)
    await target.apply(place, new, 1)  # again: nothing happens
    names = await asyncio.to_thread(cluster.kubectl, "-n", namespace, "get", "configmap", "-o", "name")
    assert "configmap/settings" in names
    # Another release server goes on from what the cluster knows.
    again = KubernetesTarget(ApiClient(open_access(str(cluster.kubeconfig("gateway", namespace)))))
    await again.apply(place, new, 4)
    await again.scale(place, old.name, 0)
    await becomes(again, place, lambda found: ready(found) == {"2": 4} and len(found) == 4)
    names = await asyncio.to_thread(cluster.kubectl, "-n", namespace, "get", "configmap,service", "-o", "name")
    assert "configmap/settings" not in names
    assert "service/a" in names
    # Back.
    await again.apply(place, old, 4)
    await again.scale(place, new.name, 0)
    await becomes(again, place, lambda found: ready(found) == {"1": 4})
    await again.close()
    with pytest.raises(GatewayError, match="was never applied in prod"):
        await target.scale(place, "9-00000000", 1)


async def test_cleaning_up_one_environment_leaves_the_other_and_the_namespace(
    cluster: Cluster, namespace: str, target: KubernetesTarget
) -> None:
    gray, prod = Place("gray", namespace, "a"), Place("prod", namespace, "b")
    other = Revision.of("1", "svc-b", revision("1").manifest.replace("name: a\n", "name: b\n"), {}, {})
    await target.apply(gray, revision("2", SETTINGS, replicas=1), 1)
    await target.apply(prod, other, 1)
    await becomes(target, gray, lambda found: ready(found) == {"2": 1})
    await target.remove(gray)
    await target.remove(gray)
    await becomes(target, gray, lambda found: not found)
    await becomes(target, prod, lambda found: ready(found) == {"1": 1})
    names = await asyncio.to_thread(
        cluster.kubectl, "-n", namespace, "get", "configmap,service,deployment", "-o", "name"
    )
    assert [name for name in names.split() if "gray" in name and "prod" not in name] == []
    assert "service/b" in names


@pytest.mark.parametrize("way", ["image", "deadline", "quota"])
async def test_what_goes_wrong_is_said_with_the_replica(
    cluster: Cluster, namespace: str, target: KubernetesTarget, way: str
) -> None:
    place, notes = (
        Place("prod", namespace, "a"),
        {"image": {"test/waiting": "ImagePullBackOff"}, "deadline": {"test/unready": "1"}},
    )
    if way == "quota":
        quota = {
            "apiVersion": "v1",
            "kind": "ResourceQuota",
            "metadata": {"name": "q"},
            "spec": {"hard": {"pods": "0"}},
        }
        cluster.apply(quota, namespace=namespace)
        cluster.wait(
            lambda: "pods" in cluster.kubectl("-n", namespace, "get", "quota", "q", "-o", "jsonpath={.status.hard}"),
            "the quota",
        )
    await target.apply(place, revision("1", replicas=1, annotations=notes.get(way)), 1)
    expected = {
        "image": "container c: ImagePullBackOff",
        "deadline": "ProgressDeadlineExceeded",
        "quota": "exceeded quota",
    }[way]
    found = await becomes(
        target, place, lambda found: any(item.phase is Phase.BROKEN and expected in item.message for item in found)
    )
    assert not ready(found)


async def test_a_field_that_somebody_else_manages_is_never_forced(
    cluster: Cluster, namespace: str, target: KubernetesTarget
) -> None:
    place = Place("prod", namespace, "a")
    text = json.dumps({**SETTINGS, "data": {"a": "theirs"}})
    await asyncio.to_thread(lambda: cluster.kubectl("apply", "--server-side", "-n", namespace, "-f", "-", text=text))
    with pytest.raises(GatewayError, match=r'ConfigMap settings: .*conflict with "kubectl".*\.data\.a'):
        await target.apply(place, revision("1", SETTINGS), 1)
    kept = await asyncio.to_thread(
        cluster.kubectl, "-n", namespace, "get", "configmap", "settings", "-o", "jsonpath={.data.a}"
    )
    assert kept == "theirs"


@pytest.mark.parametrize(
    ("item", "message"),
    [
        ({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}}, "Secret s: .*cannot patch resource"),
        ({"apiVersion": "x.test/v1", "kind": "X", "metadata": {"name": "x"}}, "X x: the cluster has no API x.test/v1"),
        ({"apiVersion": "v1", "kind": "Secrte", "metadata": {"name": "s"}}, "the API v1 of the cluster has no such kind"),
        ({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "n"}}, "it belongs to no namespace"),
        ({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "t"}, "spec": {"prots": []}}, "prots"),
        ({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "t"}, "spec": {"type": "X", "ports": [{"port": 1}]}}, "Unsupported value"),
    ],
)  # fmt: skip
async def test_what_the_server_refuses_names_the_object(
    namespace: str, target: KubernetesTarget, item: dict[str, Any], message: str
) -> None:
    with pytest.raises(GatewayError, match=message):
        await target.apply(Place("prod", namespace, "a"), revision("1", item), 1)
