"""An injected sidecar as it starts in its pod: it finds services in the cluster, and carries the tag from hop to hop."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

import pytest
from aiohttp import ClientSession, web

from gateway.app.sidecar import Sidecar
from gateway.app.sockets import Sockets
from gateway.injection.pod import Options, inject
from gateway.release.ports import free_port
from tests.real.make_chart import FOLDER
from tests.real.test_kubernetes import deployment, service
from tests.support.kubernetes import Cluster, needs_kubernetes
from tests.support.mappedpods import Pods, map_addresses, mapped
from tests.support.pods import pod

pytestmark = [pytest.mark.real, needs_kubernetes]

TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


async def test_it_starts_by_what_the_injection_says_and_carries_the_tag_to_gray_pods(
    cluster: Cluster, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The service forwards no more than the trace: A is called with the tag, and its call to B reaches gray B."""
    map_addresses(monkeypatch)
    others = Pods(free_port())
    ports = {name: free_port() for name in ("app", "inbound", "outbound", "admin")}
    cluster.apply(service("b", [{"port": 80, "targetPort": others.port}]), namespace=namespace)
    cluster.apply(deployment("b", "b"), deployment("b-gray", "b", lane="gray"), namespace=namespace)
    kubectl = ("-n", namespace, "get", "pods", "-l", "app=b", "-o")
    query = "jsonpath={range .items[*]}{.status.podIP} {.metadata.labels.lane}{'\\n'}{end}"
    cluster.wait(lambda: cluster.kubectl(*kubectl, query).count("10.") == 2, "the pods of b")
    for row in cluster.kubectl(*kubectl, query).splitlines():
        address, _, tag = row.partition(" ")
        others.tags[mapped(address)] = tag or "base"

    async def call_b(request: web.Request) -> web.Response:
        headers = {"Host": "b", "traceparent": request.headers["traceparent"]}
        url = f"http://127.0.0.1:{ports['outbound']}/x"
        async with ClientSession() as session, session.get(url, headers=headers) as response:
            return web.Response(text=f"a -> {await response.text()}", status=response.status)

    application = web.Application()
    application.router.add_get("/x", call_b)
    metadata, spec = pod()
    spec["containers"][0]["ports"] = [{"containerPort": ports["app"]}]
    (sidecar,) = inject(metadata, spec, Options("x")).spec["initContainers"]
    assert sidecar["args"][:2] == ["sidecar", "-c"]
    for item in sidecar["env"]:
        monkeypatch.setenv(item["name"], item["value"])
    kubeconfig = cluster.kubeconfig("admin", namespace)
    overrides = [f"{name}=127.0.0.1:{ports[name]}" for name in ("inbound", "outbound", "admin")]
    file = FOLDER.parents[1] / sidecar["args"][2]
    async with AsyncExitStack() as parts:
        runner = web.AppRunner(application)
        await runner.setup()
        parts.push_async_callback(runner.cleanup)
        await web.TCPSite(runner, "127.0.0.1", ports["app"]).start()
        await others.start()
        parts.push_async_callback(others.close)
        await Sidecar(file, [*overrides, f"registry.kubeconfig={kubeconfig}"]).start(parts, Sockets())
        session = await parts.enter_async_context(ClientSession())
        async with asyncio.timeout(30):
            while (await session.get(f"http://127.0.0.1:{ports['admin']}/readyz")).status != 200:
                await asyncio.sleep(0.02)
        answers: list[tuple[int, str]] = []
        for headers in ({"x-gray-tag": "gray"}, {}):
            trace = TRACE.replace("4bf9", f"{len(answers):04}")
            url = f"http://127.0.0.1:{ports['inbound']}/x"
            async with session.get(url, headers={"traceparent": trace, **headers}) as response:
                answers.append((response.status, await response.text()))
        assert answers == [(200, "a -> gray"), (200, "a -> base")]
