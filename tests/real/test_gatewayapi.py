"""HTTPRoutes of a real API server: weights and header matches drive lanes, and each object's status says how it fared."""

from __future__ import annotations

import asyncio
import json
import os
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml
from aiohttp import ClientSession

from gateway.app.entry import EntryGateway
from gateway.app.sockets import Sockets
from gateway.release.ports import free_port
from tests.real.make_chart import FOLDER
from tests.real.test_kubernetes import deployment
from tests.support.gatewayapi import (
    a_class,
    a_gateway,
    a_route,
    backend,
    definitions,
    needs_gateway_api,
    to,
    with_header,
)
from tests.support.kubernetes import Cluster, needs_kubernetes
from tests.support.mappedpods import Pods, map_addresses, mapped

pytestmark = [pytest.mark.real, needs_kubernetes, needs_gateway_api]


@pytest.fixture(scope="module", autouse=True)
def _definitions(cluster: Cluster) -> None:
    cluster.kubectl("apply", "--server-side", "-f", str(definitions()))
    for plural in ("gatewayclasses", "gateways", "httproutes", "referencegrants"):
        cluster.kubectl("wait", "--for=condition=Established", f"crd/{plural}.gateway.networking.k8s.io")
    cluster.apply(a_class())


def service(name: str, port: int, **selector: str) -> dict[str, Any]:
    spec = {"selector": {"app": "a", **selector}, "ports": [{"port": 80, "targetPort": port}]}
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": spec}


class Shop:
    """A gateway in a namespace with a Service `a` of all pods and a Service `a-canary` of the gray one."""

    def __init__(self, cluster: Cluster, namespace: str, port: int) -> None:
        self._cluster = cluster
        self._namespace = namespace
        self._port = port
        self.session = ClientSession()

    async def apply(self, *objects: dict[str, Any]) -> None:
        await asyncio.to_thread(self._cluster.apply, *objects, namespace=self._namespace)

    async def get(self, path: str = "/A/a", **headers: str) -> tuple[int, str, str]:
        """The status, who answered, and with which tag in the request."""
        async with self.session.get(f"http://127.0.0.1:{self._port}{path}", headers=headers) as response:
            return response.status, await response.text(), response.headers.get("x-seen-tag", "")

    async def shares(self, count: int, **headers: str) -> Counter[str]:
        return Counter([(await self.get(**headers))[1] for _ in range(count)])

    async def becomes(self, expected: Any, look: Any) -> None:
        async with asyncio.timeout(20):
            while await look() != expected:
                await asyncio.sleep(0.01)

    async def conditions(self, kind: str, name: str, where: str) -> dict[str, tuple[str, str]]:
        """Status and reason by type."""
        text = await asyncio.to_thread(
            self._cluster.kubectl, "-n", self._namespace, "get", kind, name, "-o", f"jsonpath={{{where}}}"
        )
        return {item["type"]: (item["status"], item["reason"]) for item in json.loads(text or "[]")}

    async def route(self, name: str) -> dict[str, tuple[str, str]]:
        return await self.conditions("httproute", name, ".status.parents[0].conditions")


@asynccontextmanager
async def shop(
    cluster: Cluster,
    namespace: str,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    kubeconfig: Path | None = None,
    workers: int = 1,
    **options: Any,
) -> AsyncIterator[Shop]:
    map_addresses(monkeypatch)
    pods, listen = Pods(free_port()), free_port()
    config = {
        "listen": f"127.0.0.1:{listen}",
        "workers": workers,
        "admin": f"127.0.0.1:{free_port()}",
        "registry": {"kind": "kubernetes", "kubeconfig": str(kubeconfig or cluster.kubeconfig("admin", namespace))},
        "gateway_api": {"gateway": "shop", **options},
    }
    (folder / "gateway.yaml").write_text(yaml.safe_dump(config))
    objects = (
        service("a", pods.port),
        service("a-canary", pods.port, lane="gray"),
        deployment("a", "a"),
        deployment("a-gray", "a", lane="gray"),
        a_gateway(),
    )
    await asyncio.to_thread(cluster.apply, *objects, namespace=namespace)

    def addresses() -> dict[str, str]:
        found = json.loads(cluster.kubectl("-n", namespace, "get", "pods", "-o", "json"))["items"]
        return {
            mapped(item["status"]["podIP"]): item["metadata"]["labels"].get("lane", "base")
            for item in found
            if item["status"].get("podIP")
        }

    async with AsyncExitStack() as parts:
        parts.push_async_callback(pods.close)
        await pods.start()
        async with asyncio.timeout(20):
            while len(found := await asyncio.to_thread(addresses)) < 2:
                await asyncio.sleep(0.02)
        pods.tags.update(found)
        await EntryGateway(folder / "gateway.yaml").start(parts, Sockets())
        running = Shop(cluster, namespace, listen)
        parts.push_async_callback(running.session.close)
        yield running


@pytest.mark.parametrize("workers", [1, 2])
async def test_weights_and_header_matches_drive_lanes(
    cluster: Cluster, namespace: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, workers: int
) -> None:
    """What the Gateway API providers of Argo Rollouts and Flagger change: the weights, and a rule with a header match."""
    async with shop(cluster, namespace, tmp_path, monkeypatch, workers=workers) as running:

        def canary(weight: int, *before: dict[str, Any]) -> dict[str, Any]:
            return a_route("a", *before, to(backend("a", 100 - weight), backend("a-canary", weight)))

        await running.apply(canary(0))
        await running.becomes((200, "base", ""), running.get)
        assert await running.shares(20) == {"base": 20}
        await running.apply(canary(50))
        await running.becomes((200, "gray", "gray"), running.get)
        assert 60 < (await running.shares(200))["gray"] < 140
        by_header = to(backend("a-canary"), matches=[with_header("x-canary", "always")])
        await running.apply(canary(0, by_header))
        await running.becomes((200, "gray", "gray"), lambda: running.get(**{"x-canary": "always"}))
        assert await running.shares(20) == {"base": 20}
        await running.apply(canary(100))
        await running.becomes({"gray": 20}, lambda: running.shares(20))
        await running.apply(canary(0))
        await running.becomes({"base": 20}, lambda: running.shares(20))


async def test_a_client_stays_with_its_backend_while_the_weight_grows(
    cluster: Cluster, namespace: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with shop(cluster, namespace, tmp_path, monkeypatch, split_by={"header": "x-user"}) as running:

        async def taken() -> set[int]:
            found = [await running.get(**{"x-user": f"user-{number}"}) for number in range(60)]
            return {number for number, answer in enumerate(found) if answer[1] == "gray"}

        before: set[int] = set()
        for weight in (20, 60):
            await running.apply(a_route("a", to(backend("a", 100 - weight), backend("a-canary", weight))))
            # Some may be asked before the change and some after it: what is seen twice is what it came to.
            while len(now := await taken()) <= len(before) or await taken() != now:
                await asyncio.sleep(0.01)
            assert before < now
            before = now


async def test_every_object_says_how_it_fared_and_a_bad_one_harms_no_other(
    cluster: Cluster, namespace: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with shop(cluster, namespace, tmp_path, monkeypatch, addresses=["192.0.2.1"]) as running:
        mirror = {"type": "RequestMirror", "requestMirror": {"backendRef": backend("a-canary")}}
        at_a = [{"path": {"value": "/A"}}]
        await running.apply(
            a_route("good", to(backend("a"), matches=at_a)),
            a_route("mirror", to(backend("a"), matches=[{"path": {"value": "/M"}}], filters=[mirror])),
            a_route("nowhere", to(backend("nobody"), matches=[{"path": {"value": "/N"}}])),
            a_route("elsewhere", to(backend("a")), gateway="somebody-elses"),
        )
        good = {"Accepted": ("True", "Accepted"), "ResolvedRefs": ("True", "ResolvedRefs")}
        refused = {**good, "Accepted": ("False", "UnsupportedValue")}
        await running.becomes(good, lambda: running.route("good"))
        await running.becomes(refused, lambda: running.route("mirror"))
        await running.becomes({**good, "ResolvedRefs": ("False", "BackendNotFound")}, lambda: running.route("nowhere"))
        assert await running.route("elsewhere") == {}
        assert await running.get() == (200, "base", "")
        assert (await running.get("/N"))[0] == 500
        assert (await running.get("/M"))[0] == 404
        accepted = {"Accepted": ("True", "Accepted")}
        assert await running.conditions("gatewayclass", "gray", ".status.conditions") == accepted
        programmed = {**accepted, "Programmed": ("True", "Programmed")}
        await running.becomes(programmed, lambda: running.conditions("gateway", "shop", ".status.conditions"))
        text = await asyncio.to_thread(cluster.kubectl, "-n", namespace, "get", "gateway", "shop", "-o", "json")
        status = json.loads(text)["status"]
        assert status["addresses"] == [{"type": "IPAddress", "value": "192.0.2.1"}]
        assert [item["attachedRoutes"] for item in status["listeners"]] == [2]


async def test_the_account_of_the_component_is_all_that_is_needed(
    cluster: Cluster, namespace: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    component, base = (os.path.relpath(FOLDER / name, tmp_path) for name in ("components/gateway-api", "base"))
    made = {"namespace": namespace, "resources": [base], "components": [component]}
    (tmp_path / "kustomization.yaml").write_text(yaml.safe_dump(made))
    text = await asyncio.to_thread(
        cluster.kubectl, "kustomize", "--load-restrictor=LoadRestrictionsNone", str(tmp_path)
    )
    items = [item for item in yaml.safe_load_all(text) if item["kind"] not in ("Deployment", "Gateway")]
    await asyncio.to_thread(cluster.kubectl, "apply", "--server-side", "-f", "-", text=yaml.safe_dump_all(items))
    token = await asyncio.to_thread(cluster.kubectl, "-n", namespace, "create", "token", "gray-gateway")
    config = yaml.safe_load(cluster.kubeconfig("admin", namespace).read_text())
    config["users"][0]["user"]["token"] = token.strip()
    limited = cluster.folder / f"limited-{namespace}.kubeconfig"
    limited.write_text(yaml.safe_dump(config))
    async with shop(cluster, namespace, tmp_path, monkeypatch, limited) as running:
        await running.apply(a_route("a", to(backend("a"))))
        await running.becomes((200, "base", ""), running.get)
        good = {"Accepted": ("True", "Accepted"), "ResolvedRefs": ("True", "ResolvedRefs")}
        await running.becomes(good, lambda: running.route("a"))
        programmed = {"Accepted": ("True", "Accepted"), "Programmed": ("True", "Programmed")}
        await running.becomes(programmed, lambda: running.conditions("gateway", "shop", ".status.conditions"))


async def test_entries_of_another_controller_stay_and_routes_outlive_the_api_server(
    cluster: Cluster, namespace: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    theirs = {
        "parentRef": {"name": "their-gateway"},
        "controllerName": "example.com/other",
        "conditions": [
            {
                "type": "Accepted", "status": "True", "reason": "Accepted", "message": "",
                "lastTransitionTime": "2026-11-01T00:00:00Z",
            }
        ],
    }  # fmt: skip
    route = a_route("a", to(backend("a")))
    route["spec"]["parentRefs"].append({"name": "their-gateway"})
    await asyncio.to_thread(cluster.apply, route, namespace=namespace)
    patch = json.dumps({"status": {"parents": [theirs]}})
    await asyncio.to_thread(
        cluster.kubectl, "-n", namespace, "patch", "httproute", "a", "--subresource=status", "--type=merge", "-p", patch
    )

    async def controllers() -> list[str]:
        wanted = "jsonpath={.status.parents[*].controllerName}"
        text = await asyncio.to_thread(cluster.kubectl, "-n", namespace, "get", "httproute", "a", "-o", wanted)
        return text.split()

    async with shop(cluster, namespace, tmp_path, monkeypatch) as running:
        await running.becomes((200, "base", ""), running.get)
        await running.becomes(["example.com/other", "gray-gateway.io/gateway"], controllers)
        await asyncio.to_thread(cluster.stop_server)
        try:
            assert await running.shares(20) == {"base": 20}
        finally:
            await asyncio.to_thread(cluster.start_server)
        await running.apply(a_route("a", to(backend("a-canary"))))
        await running.becomes((200, "gray", "gray"), running.get)
