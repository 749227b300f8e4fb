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
        {"apiGroups": ["apps"], "resources": ["deployments", "statefulsets"], "verbs": verbs},
        {"apiGroups": [""], "resources": ["pods", "events"], "verbs": ["get", "list"]},
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


def stateful(version: str, replicas: int = 4, name: str = "a") -> Revision:
    text = revision(version, replicas=replicas).manifest
    items = list(yaml.safe_load_all(text))
    items[0]["kind"] = "StatefulSet"
    items[0]["metadata"]["name"] = name
    items[0]["spec"] |= {"serviceName": "a", "podManagementPolicy": "Parallel"}
    del items[0]["spec"]["progressDeadlineSeconds"]
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


async def test_batches_of_a_stateful_set_are_exact_and_its_pods_keep_their_names(
    namespace: str, target: KubernetesTarget
) -> None:
    """By its partition: new ones take the place of old ones, from the last one on, and back."""
    place = Place("prod", namespace, "a")
    old, new = stateful("1"), stateful("2")

    def of(version: str, found: tuple[Replica, ...]) -> set[str]:
        return {item.id for item in found if item.version == version and item.phase is Phase.READY}

    async def comes(**expected: str) -> None:
        wanted = {version[1:]: {f"a-{ordinal}" for ordinal in ordinals} for version, ordinals in expected.items()}
        await becomes(
            target, place, lambda found: len(found) == 4 and all(of(key, found) == ids for key, ids in wanted.items())
        )

    await target.apply(place, old, 4)
    await comes(v1="0123")
    await target.apply(place, new, 1)
    await target.scale(place, old.name, 4)  # as long as the new one is not ready: nothing happens
    await comes(v1="012", v2="3")
    await target.scale(place, old.name, 3)
    await target.apply(place, new, 3)
    await comes(v1="0", v2="123")
    # Back, before it has come to its end.
    await target.apply(place, old, 4)
    await target.scale(place, new.name, 0)
    await comes(v1="0123", v2="")
    await target.apply(place, new, 4)
    await target.scale(place, old.name, 0)
    await comes(v1="", v2="0123")
    with pytest.raises(GatewayError, match="was never applied"):
        await target.scale(place, old.name, 1)
    await target.remove(place)
    await becomes(target, place, lambda found: not found)


async def test_a_stateful_set_gets_fewer_or_more_pods_with_a_revision(namespace: str, target: KubernetesTarget) -> None:
    place = Place("prod", namespace, "a")
    old, fewer, more = stateful("1"), stateful("2", 2), stateful("3", 3)
    await target.apply(place, old, 4)
    await becomes(target, place, lambda found: ready(found) == {"1": 4})
    await target.apply(place, fewer, 1)
    await target.scale(place, old.name, 2)
    await becomes(target, place, lambda found: ready(found) == {"1": 2, "2": 1} and len(found) == 3)
    await target.apply(place, fewer, 2)
    await target.scale(place, old.name, 0)
    await becomes(target, place, lambda found: ready(found) == {"2": 2} and len(found) == 2)
    await target.apply(place, more, 3)
    await target.scale(place, fewer.name, 0)
    await becomes(target, place, lambda found: ready(found) == {"3": 3} and len(found) == 3)


@pytest.mark.parametrize("kind", ["Deployment", "StatefulSet"])
async def test_what_another_environment_runs_is_not_taken_over(
    namespace: str, target: KubernetesTarget, kind: str
) -> None:
    """A StatefulSet of the same name, or a Deployment whose manifest does not differ at all."""
    made = revision("1", replicas=1) if kind == "Deployment" else stateful("1", 1)
    await target.apply(Place("prod", namespace, "a"), made, 1)
    with pytest.raises(GatewayError, match=f"{kind} a.* is there already, and belongs to a in prod: give it another"):
        await target.apply(Place("gray", namespace, "a"), made, 1)
    await target.remove(Place("gray", namespace, "a"))
    await becomes(target, Place("prod", namespace, "a"), lambda found: ready(found) == {"1": 1})


async def test_places_whose_names_run_together_are_two(namespace: str, target: KubernetesTarget) -> None:
    one, other = Place("a-b", namespace, "c"), Place("a", namespace, "b-c")
    renamed = revision("1", replicas=1).manifest.replace("name: a\n", "name: other\n")
    await target.apply(one, revision("1", replicas=1), 1)
    await target.apply(other, Revision.of("1", "svc-a", renamed, {}, {}), 1)
    await target.remove(other)
    await becomes(target, one, lambda found: ready(found) == {"1": 1})
    await becomes(target, other, lambda found: not found)


async def test_what_two_environments_have_in_common_outlives_the_cleanup_of_one(
    cluster: Cluster, namespace: str, target: KubernetesTarget
) -> None:
    gray, prod = Place("gray", namespace, "a"), Place("prod", namespace, "a")
    await target.apply(prod, revision("1", replicas=1), 1)
    await target.apply(gray, revision("2", SETTINGS, replicas=1), 1)
    await target.remove(gray)
    names = await asyncio.to_thread(cluster.kubectl, "-n", namespace, "get", "configmap,service", "-o", "name")
    assert "service/a" in names
    assert "configmap/settings" not in names
    await target.remove(prod)
    assert "service/a" not in await asyncio.to_thread(cluster.kubectl, "-n", namespace, "get", "service", "-o", "name")


@pytest.mark.parametrize("kind", ["Deployment", "StatefulSet"])
@pytest.mark.parametrize("way", ["policy", "webhook", "quota"])
async def test_pods_that_are_denied_are_said_with_the_reason(
    cluster: Cluster, namespace: str, target: KubernetesTarget, kind: str, way: str
) -> None:
    """By a ValidatingAdmissionPolicy, a webhook that is away, or a quota: the objects are taken, and their pods are not."""
    await asyncio.to_thread(deny, cluster, namespace, way, "pods")
    try:
        place = Place("prod", namespace, "a")
        await target.apply(place, revision("1", replicas=1) if kind == "Deployment" else stateful("1", 1), 1)
        expected = {"policy": "no pods on Sundays", "webhook": "failed calling webhook", "quota": "exceeded quota"}[way]
        await becomes(
            target, place, lambda found: any(item.phase is Phase.BROKEN and expected in item.message for item in found)
        )
    finally:
        await asyncio.to_thread(allow, cluster, namespace, way)


@pytest.mark.parametrize("way", ["policy", "webhook"])
async def test_a_deployment_that_is_denied_is_said_with_the_reason(
    cluster: Cluster, namespace: str, target: KubernetesTarget, way: str
) -> None:
    await asyncio.to_thread(deny, cluster, namespace, way, "deployments")
    expected = {"policy": "Deployment a-.*: .*denied request: no pods on Sundays", "webhook": "failed calling webhook"}
    place = Place("prod", namespace, "a")

    async def until_denied() -> None:
        while True:  # the API server learns of it a moment later
            await target.apply(place, revision("1", replicas=0), 0)
            await target.remove(place)

    try:
        with pytest.raises(GatewayError, match=expected[way]):
            await asyncio.wait_for(until_denied(), 30)
    finally:
        await asyncio.to_thread(allow, cluster, namespace, way)


def deny(cluster: Cluster, namespace: str, way: str, resource: str) -> None:
    """Has objects denied in a namespace, and waits until they are."""
    if way == "quota":
        cluster.apply(
            {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "q"}, "spec": {"hard": {"pods": "0"}}},
            namespace=namespace,
        )
        cluster.wait(
            lambda: "pods" in cluster.kubectl("-n", namespace, "get", "quota", "q", "-o", "jsonpath={.status.hard}"),
            "the quota",
        )
        return
    selector = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}}}
    group = {"pods": "", "deployments": "apps"}[resource]
    rule = {"apiGroups": [group], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": [resource]}
    head = {"apiVersion": "admissionregistration.k8s.io/v1", "metadata": {"name": namespace}}
    if way == "policy":
        spec = {
            "failurePolicy": "Fail",
            "matchConstraints": {**selector, "resourceRules": [rule]},
            "validations": [{"expression": "false", "message": "no pods on Sundays"}],
        }
        cluster.apply(
            {**head, "kind": "ValidatingAdmissionPolicy", "spec": spec},
            {
                **head,
                "kind": "ValidatingAdmissionPolicyBinding",
                "spec": {"policyName": namespace, "validationActions": ["Deny"]},
            },
        )
    else:
        webhook = {
            **selector,
            "name": "away.test.example",
            "clientConfig": {"url": "https://127.0.0.1:1/x"},
            "admissionReviewVersions": ["v1"],
            "sideEffects": "None",
            "rules": [rule],
        }
        cluster.apply({**head, "kind": "ValidatingWebhookConfiguration", "webhooks": [webhook]})
    if resource == "pods":
        probe = ["-n", namespace, "run", "probe", "--image=x", "--dry-run=server"]
        cluster.wait(lambda: not cluster.says(*probe), "the denial")


def allow(cluster: Cluster, namespace: str, way: str) -> None:
    kinds = {
        "policy": "validatingadmissionpolicy,validatingadmissionpolicybinding",
        "webhook": "validatingwebhookconfiguration",
    }
    if way in kinds:
        cluster.kubectl("delete", kinds[way], namespace)


@pytest.mark.parametrize("way", ["image", "deadline"])
async def test_what_goes_wrong_is_said_with_the_replica(namespace: str, target: KubernetesTarget, way: str) -> None:
    place, notes = (
        Place("prod", namespace, "a"),
        {"image": {"test/waiting": "ImagePullBackOff"}, "deadline": {"test/unready": "1"}},
    )
    await target.apply(place, revision("1", replicas=1, annotations=notes.get(way)), 1)
    expected = {
        "image": "container c: ImagePullBackOff",
        "deadline": "ProgressDeadlineExceeded",
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
