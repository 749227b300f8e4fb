"""Services of a real Kubernetes control plane: what it says of pods, how it goes away, and what it refuses."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from gateway.errors import RegistryError
from gateway.instance import Instance
from gateway.kubernetes.access import open_access
from gateway.kubernetes.client import OPENED, ApiClient
from gateway.kubernetes.errors import ApiError
from gateway.registry.base import Listing
from gateway.registry.keeper import Keeper
from gateway.registry.kubernetes.adapter import KubernetesAdapter
from gateway.rulesources.documents import ConflictError
from gateway.rulesources.kubernetes import ConfigMapFolder
from gateway.tags import INVALID
from tests.support.kubernetes import Cluster, needs_kubernetes
from tests.support.wait import until

pytestmark = [pytest.mark.real, needs_kubernetes]


def deployment(name: str, app: str, replicas: int = 1, **labels: str) -> dict[str, Any]:
    labels = {"app": app, "set": name, **labels}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"set": name}},
            "template": {
                "metadata": {"labels": labels},
                "spec": {
                    "terminationGracePeriodSeconds": 0,
                    "containers": [{"name": "c", "image": "registry.test/c:1"}],
                },
            },
        },
    }


def service(name: str, ports: list[dict[str, Any]] | None = None, **spec: Any) -> dict[str, Any]:
    chosen = ports or [{"port": 80, "targetPort": 8080}]
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name},
        "spec": {"selector": {"app": name}, "ports": chosen, **spec},
    }


@asynccontextmanager
async def adapter_of(
    cluster: Cluster, namespace: str, user: str = "admin", **options: Any
) -> AsyncIterator[KubernetesAdapter]:
    access = open_access(str(cluster.kubeconfig(user, namespace)))
    adapter = KubernetesAdapter(ApiClient(access), **options)
    try:
        yield adapter
    finally:
        await adapter.close()


def usable(listing: Listing) -> dict[str, int]:
    """How many usable instances each tag has."""
    tags = [item.tag for item in listing.instances if item.is_usable]
    return {tag: tags.count(tag) for tag in tags}


async def comes(watch: AsyncGenerator[Listing, None], expected: dict[str, int]) -> Listing:
    """Waits for a list with these instances."""
    async with asyncio.timeout(15):
        while usable(listing := await anext(watch)) != expected:
            pass
    return listing


async def kubectl(cluster: Cluster, *arguments: str) -> str:
    return await asyncio.to_thread(cluster.kubectl, *arguments)


async def pod_of(cluster: Cluster, namespace: str, name: str) -> str:
    return (await kubectl(cluster, "-n", namespace, "get", "pod", "-l", f"set={name}", "-o", "name")).split()[0]


async def test_pods_come_and_go_and_their_labels_are_their_tags(cluster: Cluster, namespace: str) -> None:
    cluster.apply(service("a"), namespace=namespace)
    async with adapter_of(cluster, namespace) as adapter:
        watch = adapter.watch("a")
        assert (await anext(watch)).instances == ()
        cluster.apply(deployment("a", "a", 2), namespace=namespace)
        first = await comes(watch, {"base": 2})
        assert {item.port for item in first.instances} == {8080}
        cluster.apply(deployment("a-gray", "a", 1, **{"alicloud.service.tag": "gray"}), namespace=namespace)
        await comes(watch, {"base": 2, "gray": 1})
        await kubectl(cluster, "-n", namespace, "delete", "deployment", "a-gray")
        await comes(watch, {"base": 2})
        await watch.aclose()


async def test_readiness_a_label_changed_in_place_and_a_malformed_one_count_at_once(
    cluster: Cluster, namespace: str
) -> None:
    cluster.apply(service("a"), deployment("a", "a"), deployment("b", "a"), namespace=namespace)
    async with adapter_of(cluster, namespace) as adapter:
        watch = adapter.watch("a")
        await comes(watch, {"base": 2})
        pod = await pod_of(cluster, namespace, "b")
        await kubectl(cluster, "-n", namespace, "annotate", pod, "test/unready=1")
        await comes(watch, {"base": 1})
        await kubectl(cluster, "-n", namespace, "annotate", pod, "test/unready-")
        await comes(watch, {"base": 2})
        await kubectl(cluster, "-n", namespace, "label", pod, "lane=gray")
        await comes(watch, {"base": 1, "gray": 1})
        await kubectl(cluster, "-n", namespace, "label", pod, "gray.tag=gray", "gray-tag=blue")
        await comes(watch, {"base": 1, INVALID: 1})
        await watch.aclose()


async def test_a_terminating_pod_gets_no_traffic_and_is_listed_until_it_is_gone(
    cluster: Cluster, namespace: str
) -> None:
    cluster.apply(service("a"), deployment("a", "a"), namespace=namespace)
    async with adapter_of(cluster, namespace) as adapter:
        watch = adapter.watch("a")
        (before,) = (await comes(watch, {"base": 1})).instances
        pod = await pod_of(cluster, namespace, "a")
        await kubectl(
            cluster, "-n", namespace, "patch", pod, "-p", '{"metadata": {"finalizers": ["test.example/lingers"]}}'
        )
        await kubectl(cluster, "-n", namespace, "delete", pod, "--wait=false")
        async with asyncio.timeout(15):
            while True:
                both = (await anext(watch)).instances
                new = [item for item in both if item.is_usable]
                if len(both) == 2 and len(new) == 1:
                    break
        (old,) = [item for item in both if not item.is_usable]
        assert (old.address, old.identity, old.enabled) == (before.address, before.identity, False)
        assert new[0].identity != before.identity
        await kubectl(
            cluster, "-n", namespace, "patch", pod, "--type=merge", "-p", '{"metadata": {"finalizers": null}}'
        )
        async with asyncio.timeout(15):
            while len((await anext(watch)).instances) != 1:
                pass
        await watch.aclose()


async def test_of_those_that_left_a_service_at_once_only_living_pods_are_kept(cluster: Cluster, namespace: str) -> None:
    """Their addresses stay theirs; that of one that has ended or is gone may be the next pod's."""
    cluster.apply(service("a"), *(deployment(f"a-{number}", "a") for number in range(4)), namespace=namespace)
    changes: list[tuple[Instance, ...]] = []
    async with adapter_of(cluster, namespace) as adapter:
        keeper = Keeper(adapter, lambda _, instances: changes.append(instances), recheck=0.1)
        keeper.watch("a")
        await until(lambda: bool(changes) and len(changes[-1]) == 4, "four instances")
        first = {item.metadata["pod"]: item for item in changes[-1]}
        evicted = (await pod_of(cluster, namespace, "a-0")).removeprefix("pod/")
        gone = (await pod_of(cluster, namespace, "a-1")).removeprefix("pod/")
        # The Service selects nobody any more: as by a mistake, nothing has happened to the pods.
        await kubectl(cluster, "-n", namespace, "patch", "service", "a", "-p", '{"spec": {"selector": {"app": "b"}}}')
        await until(lambda: keeper.states()[0].state == "protected", "the doubt")
        assert {item.metadata["pod"] for item in changes[-1]} == set(first)
        failed = ["--subresource=status", "--type=merge", "-p", '{"status": {"phase": "Failed"}}']
        await kubectl(cluster, "-n", namespace, "patch", "pod", evicted, *failed)
        await kubectl(cluster, "-n", namespace, "delete", "deployment", "a-1")
        left = set(first) - {evicted, gone}
        await until(lambda: {item.metadata["pod"] for item in changes[-1]} == left, "the living ones")
        assert keeper.states()[0].state == "protected"
        await keeper.close()


async def test_pods_of_a_drained_node_get_no_traffic(cluster: Cluster, namespace: str) -> None:
    cluster.apply(service("a"), deployment("a", "a", 2), namespace=namespace)
    async with adapter_of(cluster, namespace) as adapter:
        watch = adapter.watch("a")
        await comes(watch, {"base": 2})
        pods = (await kubectl(cluster, "-n", namespace, "get", "pod", "-l", "set=a", "-o", "name")).split()
        for pod in pods:
            await kubectl(cluster, "-n", namespace, "label", pod, f"drained={namespace}")
        try:
            await kubectl(cluster, "drain", "node-1", f"--pod-selector=drained={namespace}", "--timeout=30s")
            await comes(watch, {})  # there is no other node
        finally:
            await kubectl(cluster, "uncordon", "node-1")
        await comes(watch, {"base": 2})
        await watch.aclose()


async def test_a_port_by_its_name_and_one_that_cannot_be_told(cluster: Cluster, namespace: str) -> None:
    ports = [{"name": "admin", "port": 81, "targetPort": 9000}, {"name": "web", "port": 80, "targetPort": 8081}]
    cluster.apply(service("a", ports), deployment("a", "a"), namespace=namespace)
    for options, expected in (({"ports": {"a": "web"}}, [8081]), ({"port": "9000"}, [9000]), ({}, [])):
        async with adapter_of(cluster, namespace, **options) as adapter:
            watch = adapter.watch("a")
            async with asyncio.timeout(15):
                while True:
                    listing = await anext(watch)
                    if [item.port for item in listing.instances] == expected and (expected or listing.skipped):
                        break
            assert listing.skipped == ({} if expected else {"several_ports": 1})
            await watch.aclose()


async def test_services_without_pods_of_their_own(cluster: Cluster, namespace: str) -> None:
    """Without a selector, headless, ExternalName."""
    by_hand = {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {"name": "bare-1", "labels": {"kubernetes.io/service-name": "bare", "lane": "gray"}},
        "addressType": "IPv4",
        "ports": [{"port": 8080}],
        "endpoints": [{"addresses": ["192.0.2.1"], "conditions": {"ready": True}}],
    }
    bare = service("bare")
    del bare["spec"]["selector"]
    external = {**service("far"), "spec": {"type": "ExternalName", "externalName": "far.example"}}
    headless = service("a", clusterIP="None")
    cluster.apply(bare, by_hand, external, headless, deployment("a", "a"), namespace=namespace)
    async with adapter_of(cluster, namespace) as adapter:
        for name, expected in (("bare", {"gray": 1}), ("a", {"base": 1})):
            watch = adapter.watch(name)
            await comes(watch, expected)
            await watch.aclose()
        with pytest.raises(RegistryError, match=r"service far of namespace .* is of type ExternalName"):
            await anext(adapter.watch("far"))


def grant(user: str, **resources: list[str]) -> list[dict[str, Any]]:
    """A role with get, list and watch of resources (by API group, `core` for the first), bound to a user."""
    rbac, verbs = "rbac.authorization.k8s.io", ["get", "list", "watch"]
    rules = [
        {"apiGroups": ["" if group == "core" else group.replace("_", ".")], "resources": items, "verbs": verbs}
        for group, items in resources.items()
    ]
    head = {"apiVersion": f"{rbac}/v1", "metadata": {"name": user}}
    return [
        {**head, "kind": "Role", "rules": rules},
        {
            **head,
            "kind": "RoleBinding",
            "roleRef": {"apiGroup": rbac, "kind": "Role", "name": user},
            "subjects": [{"apiGroup": rbac, "kind": "User", "name": user}],
        },
    ]


async def test_an_account_that_may_see_slices_and_no_pods_gets_no_list_until_it_may(
    cluster: Cluster, namespace: str
) -> None:
    cluster.apply(service("a"), deployment("a", "a"), namespace=namespace)
    cluster.apply(*grant("gateway", discovery_k8s_io=["endpointslices"]), namespace=namespace)
    async with adapter_of(cluster, namespace, "gateway") as adapter:
        with pytest.raises(
            RegistryError, match=r'cannot list resource "pods".*endpointslices and pods are needed'
        ) as error:
            await anext(adapter.watch("a"))
        assert error.value.reason == "auth"
        cluster.apply(*grant("gateway", discovery_k8s_io=["endpointslices"], core=["pods"]), namespace=namespace)
        async with asyncio.timeout(15):
            while True:
                try:
                    watch = adapter.watch("a")
                    if usable(await anext(watch)) == {"base": 1}:
                        break
                except RegistryError:
                    await asyncio.sleep(0.05)
        await watch.aclose()


async def test_a_server_that_restarts_is_followed_from_where_it_was(cluster: Cluster, namespace: str) -> None:
    cluster.apply(service("a"), deployment("a", "a"), namespace=namespace)
    async with adapter_of(cluster, namespace) as adapter:
        watch = adapter.watch("a")
        await comes(watch, {"base": 1})
        await asyncio.to_thread(cluster.stop_server)
        with pytest.raises(RegistryError) as error:
            await asyncio.wait_for(comes(watch, {}), 60)
        assert error.value.reason in ("unreachable", "timeout")
        await asyncio.to_thread(cluster.start_server)
        await asyncio.to_thread(cluster.apply, deployment("b", "a", lane="gray"), namespace=namespace)
        async with asyncio.timeout(15):
            while True:
                try:
                    watch = adapter.watch("a")
                    await comes(watch, {"base": 1, "gray": 1})
                    break
                except RegistryError:
                    await asyncio.sleep(0.05)
        await watch.aclose()


async def test_a_resource_version_that_is_too_old_comes_as_an_event(cluster: Cluster, namespace: str) -> None:
    """Of a server that has started since: it has nothing older."""
    await asyncio.to_thread(cluster.stop_server)
    await asyncio.to_thread(cluster.start_server)
    client = ApiClient(open_access(str(cluster.kubeconfig())))
    events = client.watch(f"/api/v1/namespaces/{namespace}/pods", {"resourceVersion": "1"})
    assert (await anext(events))[0] == OPENED
    with pytest.raises(ApiError) as error:
        await asyncio.wait_for(anext(events), 15)
    assert error.value.is_expired
    await client.close()


async def test_rules_in_a_config_map_are_followed_and_written_only_over_what_was_read(
    cluster: Cluster, namespace: str
) -> None:
    """By an account that may do that with this one alone."""
    verbs = ["get", "list", "watch", "patch"]
    role, binding = grant("gateway", core=[])
    role["rules"] = [{"apiGroups": [""], "resources": ["configmaps"], "resourceNames": ["gray"], "verbs": verbs}]
    cluster.apply(role, binding, namespace=namespace)
    await kubectl(cluster, "-n", namespace, "create", "configmap", "gray", "--from-literal=a.yaml=1")
    access = open_access(str(cluster.kubeconfig("gateway", namespace)))
    folder = ConfigMapFolder(ApiClient(access), "", "gray", (".yaml",))
    watch = folder.watch()
    assert await anext(watch) == {"a.yaml": "1"}
    await folder.publish("b.yaml", "2", None)
    async with asyncio.timeout(15):
        while await anext(watch) != {"a.yaml": "1", "b.yaml": "2"}:
            pass
    with pytest.raises(ConflictError):
        await folder.publish("b.yaml", "3", "1")
    await folder.publish("a.yaml", None, "1")
    await watch.aclose()
    await folder.close()
