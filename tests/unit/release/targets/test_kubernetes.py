"""The target `kubernetes` where the API server says something else than a real one usually does. The rest is in tests/real."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
import yaml

from gateway.errors import GatewayError
from gateway.kubernetes.client import ApiClient
from gateway.release.targets.base import Place, Revision
from gateway.release.targets.kubernetes import KubernetesTarget
from tests.support.apiserver import ApiServer, status

PLACE = Place("gray", "shop", "a")
MAPS = "/api/v1/namespaces/shop/configmaps"
KEPT = f"{MAPS}/gray-release-gray-a-b205cdb7"
DEPLOYMENT = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "a"}, "spec": {"template": {}}}
REVISION = Revision.of("1", "a", yaml.safe_dump(DEPLOYMENT), {}, {})


@pytest.fixture
async def server() -> AsyncIterator[ApiServer]:
    server = ApiServer()
    await server.start()
    yield server
    await server.stop()


@pytest.fixture
async def target(server: ApiServer) -> AsyncIterator[KubernetesTarget]:
    target = KubernetesTarget(ApiClient(server.access()), ["shop"])
    yield target
    await target.close()


async def test_what_was_applied_is_written_down_before_anything_is_done(
    server: ApiServer, target: KubernetesTarget
) -> None:
    """Or a release server that ends between the two would leave what nobody knows of."""
    server.refusals[MAPS] = [(500, status(500, "InternalError", "the store is away"))]
    with pytest.raises(GatewayError, match="the store is away"):
        await target.apply(PLACE, REVISION, 1)
    assert {method for method, _, _ in server.requests if method == "PATCH"} == set()


async def test_what_another_release_server_has_written_meanwhile_is_not_overwritten(
    server: ApiServer, target: KubernetesTarget
) -> None:
    kept: dict[str, Any] = {"metadata": {"name": "k", "resourceVersion": "3"}, "data": {"revisions": "{}"}}
    server.refusals[KEPT] = [(200, kept), (409, status(409, "Conflict", "the object has been modified"))]
    with pytest.raises(GatewayError, match="the object has been modified"):
        await target.apply(PLACE, REVISION, 1)
    assert server.bodies[0]["metadata"]["resourceVersion"] == "3"


@pytest.mark.parametrize("data", [{}, {"revisions": "{"}, {"revisions": "[]"}, {"revisions": '{"h": {"shared": []}}'}])
async def test_what_was_kept_and_cannot_be_read_is_said(
    server: ApiServer, target: KubernetesTarget, data: dict[str, str]
) -> None:
    server.refusals[KEPT] = [
        (200, {"metadata": {"name": "gray-release-gray-a-b205cdb7", "resourceVersion": "3"}, "data": data})
    ]
    with pytest.raises(GatewayError, match="the ConfigMap gray-release-gray-a-b205cdb7 cannot be read"):
        await target.remove(PLACE)


async def test_a_cluster_that_is_away_is_said(server: ApiServer, target: KubernetesTarget) -> None:
    await server.stop()
    with pytest.raises(GatewayError, match="cannot reach http"):
        await target.observe(PLACE)
    await server.start()


async def test_sidecars_of_ready_pods_are_found_in_every_namespace(server: ApiServer, target: KubernetesTarget) -> None:
    pods = "/api/v1/namespaces/shop/pods"
    notes = {"gray-gateway.io/revision": "1-a", "gray-gateway.io/service-name": "svc-a"}
    spec = {"containers": [], "initContainers": [{"name": "gray-sidecar"}]}
    ready = {"conditions": [{"type": "Ready", "status": "True"}]}
    server.items[pods] = [
        {"metadata": {"annotations": notes}, "spec": spec, "status": {"podIP": "10.0.0.1", **ready}},
        {"metadata": {"annotations": notes}, "spec": spec, "status": {"podIP": "10.0.0.2"}},
        {"metadata": {"annotations": notes}, "spec": {}, "status": {"podIP": "10.0.0.3", **ready}},
    ]
    assert await target.admins() == {"10.0.0.1:15082": "svc-a"}
