"""A release train of A and C on a real control plane, from the baseline through gray to production and cleanup, under load."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from aiohttp import ClientError, ClientSession

from gateway.app.entry import EntryGateway
from gateway.app.sockets import Sockets
from gateway.kubernetes.access import open_access
from gateway.kubernetes.client import ApiClient
from gateway.release.mesh import Mesh
from gateway.release.plan import Wish
from gateway.release.ports import free_port
from gateway.release.service import Releases
from gateway.release.settings import load_release
from gateway.release.states import State
from gateway.release.targets.base import Phase, Place, Replica, Revision
from gateway.release.targets.kubernetes import KubernetesTarget
from tests.support.kubernetes import Cluster, needs_kubernetes
from tests.support.mappedpods import Pods, map_addresses, mapped
from tests.support.release import write_files
from tests.support.wait import until

pytestmark = [pytest.mark.real, needs_kubernetes]

MANIFEST = """\
apiVersion: apps/v1
kind: Deployment
metadata: {name: "{{ .AppStack.appName }}-{{ .AppStack.envName }}"}
spec:
  replicas: 2
  selector: {matchLabels: {app: "{{ .AppStack.appName }}"}}
  template:
    metadata:
      labels:
        app: "{{ .AppStack.appName }}"
        {{ if eq .AppStack.envName "gray" }}alicloud.service.tag: gray{{ end }}
    spec:
      containers: [{name: backend, image: "{{ .AppStack.image.backend }}", ports: [{containerPort: PORT}]}]
"""
LANES = "lane_groups: [{name: demo, lanes: [{name: gray, tag: gray, enabled: false, match: [{param: group, equals: gray}]}]}]\n"
CONFIG = "entry: http://127.0.0.1:1\ngateways: ['GATEWAY']\nfiles: release\nstate: state\ntargets: {local: {kind: kubernetes}}\n"


class MappedTarget(KubernetesTarget):
    """Its pods are where tests have them."""

    pods: Pods

    async def observe(self, place: Place) -> tuple[Replica, ...]:
        found = []
        for item in await super().observe(place):
            if item.address:
                host, _, port = item.address.rpartition(":")
                self.pods.tags[mapped(host)] = item.tag
                item = replace(item, address=f"{mapped(host)}:{port}")
            found.append(item)
        return tuple(found)


async def send(url: str, kind: str, answers: Counter[tuple[str, str]]) -> None:
    async with ClientSession() as session:
        while True:
            try:
                async with session.get(url) as response:
                    text = await response.text()
                    answers[kind, text if response.status == 200 else f"{response.status} {text}"] += 1
            except ClientError as error:
                answers[kind, f"failed: {error}"] += 1
            await asyncio.sleep(0.005)


async def test_a_train_of_a_and_c_loses_no_request_and_leaves_nothing_gray(
    cluster: Cluster, namespace: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Lanes are opened and closed through the admin API, which writes them into their ConfigMap."""
    map_addresses(monkeypatch)
    pods, listen, admin = Pods(free_port()), free_port(), f"127.0.0.1:{free_port()}"
    kubeconfig = str(cluster.kubeconfig("admin", namespace))
    manifest = MANIFEST.replace("PORT", str(pods.port))
    changed = {f"environments/{name}.yaml": f"level: {name}\nnamespace: {namespace}\n" for name in ("gray", "prod")}
    write_files(tmp_path / "release", {**changed, "orchestrations/app.tpl": manifest})
    (tmp_path / "release.yaml").write_text(CONFIG.replace("GATEWAY", admin))
    gateway = {
        "listen": f"127.0.0.1:{listen}",
        "admin": admin,
        "state": "gateway-state",
        "registry": {"kind": "kubernetes", "kubeconfig": kubeconfig},
        "routes": [{"path": f"/{name}", "service": f"service-{name}"} for name in ("a", "c")],
        "rules": [{"kubernetes": {"name": "gray-rules", "kubeconfig": kubeconfig}}],
    }
    (tmp_path / "gateway.yaml").write_text(yaml.safe_dump(gateway))
    rules = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "gray-rules"}, "data": {"gray.yaml": LANES}}
    services = [
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": f"service-{name}"},
            "spec": {"selector": {"app": name}, "ports": [{"port": 80, "targetPort": pods.port}]},
        }
        for name in ("a", "c")
    ]
    cluster.apply(rules, *services, namespace=namespace)
    target = MappedTarget(ApiClient(open_access(kubeconfig)))
    target.pods = pods
    answers: Counter[tuple[str, str]] = Counter()
    async with AsyncExitStack() as parts:
        await pods.start()
        parts.push_async_callback(pods.close)
        parts.push_async_callback(target.close)
        for name in ("a", "c"):
            text = manifest.replace("{{ .AppStack.appName }}", name).replace("{{ .AppStack.envName }}", "prod")
            text = text.replace("{{ .AppStack.image.backend }}", "x:0").replace(
                '{{ if eq .AppStack.envName "gray" }}alicloud.service.tag: gray{{ end }}', ""
            )
            await target.apply(Place("prod", namespace, name), Revision.of("0", f"service-{name}", text, {}, {}), 2)
        for name in ("a", "c"):
            async with asyncio.timeout(40):
                while [item.phase for item in await target.observe(Place("prod", namespace, name))] != [
                    Phase.READY
                ] * 2:
                    await asyncio.sleep(0.05)
        await EntryGateway(tmp_path / "gateway.yaml").start(parts, Sockets())
        base = f"http://127.0.0.1:{listen}"
        async with ClientSession() as session, asyncio.timeout(30):
            for name in ("a", "c"):
                while (await session.get(f"{base}/{name}")).status != 200:
                    await asyncio.sleep(0.02)
        load = [
            asyncio.create_task(send(f"{base}/{name}{query}", kind, answers))
            for name in ("a", "c")
            for kind, query in (("plain", ""), (f"marked {name}", "?group=gray"))
        ]
        server = Releases(load_release(tmp_path / "release.yaml"), targets={"local": target}, mesh=Mesh([admin]))
        await parts.enter_async_context(server)
        order = (await server.run(Wish({"a": "1", "c": "1"}, "alice", "a test", images={(None, "backend"): "x:1"}))).id

        def waits() -> bool:
            now = server.ledger.active[order]
            assert now.state is State.RUNNING, [(task.name, str(task.state), task.message) for task in now.tasks]
            return any(task.kind == "approve" and task.state is State.SUSPENDED for task in now.current())

        await until(waits, "the approval", 60)
        seen = dict(answers)  # the lane is open, and the gray ones are known
        await until(
            lambda: all(
                answers[f"marked {name}", "gray"] > seen.get((f"marked {name}", "gray"), 0) + 20 for name in "ac"
            )
        )
        await server.actions.vote(order, "alice", "fine", True)
        await until(lambda: order not in server.ledger.active, "the end of the order", 90)
        found = await server.store.order(order)
        assert found is not None
        assert found.state is State.SUCCESS, [(task.name, str(task.state), task.message) for task in found.tasks]
        running = {
            (place.environment, place.application): Counter(item.version for item in await target.observe(place))
            for place in (Place(env, namespace, app) for env in ("gray", "prod") for app in ("a", "c"))
        }
        before = answers["marked a", "base"]
        await until(lambda: answers["marked a", "base"] > before + 20)  # as everybody, once the lane is closed
        for task in load:
            task.cancel()
        await asyncio.gather(*load, return_exceptions=True)
    assert {name for kind, name in answers if kind == "plain"} == {"base"}
    assert {name for kind, name in answers if kind != "plain"} == {"base", "gray"}, answers
    assert running == {
        ("gray", "a"): {}, ("gray", "c"): {}, ("prod", "a"): {"1": 2}, ("prod", "c"): {"1": 2},
    }  # fmt: skip
