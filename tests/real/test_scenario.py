"""The scenario on a real control plane: gray beside the baseline, the lane opened, a new baseline, cleanup, under load.

The pods are kwok's. One server stands for all of them: pod 10.244.a.b is 127.244.a.b here, by an address map that only tests set.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
import yaml
from aiohttp import ClientError, ClientSession

from gateway.app.entry import EntryGateway
from gateway.app.sockets import Sockets
from gateway.kubernetes.access import open_access
from gateway.kubernetes.client import ApiClient
from gateway.release.ports import free_port
from gateway.release.targets.base import Phase, Place, Revision
from gateway.release.targets.kubernetes import KubernetesTarget
from tests.support.kubernetes import Cluster, needs_kubernetes
from tests.support.mappedpods import Pods, map_addresses, mapped
from tests.support.wait import until

pytestmark = [pytest.mark.real, needs_kubernetes]

RULES = "lane_groups: [{name: g, lanes: [{name: l, tag: gray, %smatch: [{param: group, equals: gray}]}]}]\n"


class Load:
    """Requests of both kinds, one after the other, until it is ended; `answers` by kind, `during` a phase of the scenario."""

    def __init__(self, port: int) -> None:
        self.phase = "baseline"
        self.answers: Counter[tuple[str, str, str]] = Counter()
        self._url = f"http://127.0.0.1:{port}/A/a"
        self._tasks = [asyncio.create_task(self._send(*kind)) for kind in (("plain", ""), ("marked", "?group=gray"))]

    async def _send(self, kind: str, query: str) -> None:
        async with ClientSession() as session:
            while True:
                phase = self.phase
                try:
                    async with session.get(self._url + query) as response:
                        text = await response.text()
                        answer = text if response.status == 200 else f"{response.status} {text}"
                except ClientError as error:
                    answer = f"failed: {error}"
                if phase == self.phase:
                    self.answers[phase, kind, answer] += 1
                await asyncio.sleep(0.005)

    async def lasts(self, phase: str, kind: str, answer: str, count: int = 20) -> None:
        """Enters a phase, and waits for so many responses of a kind in it."""
        self.phase = phase
        await until(
            lambda: self.answers[phase, kind, answer] >= count, f"{kind} {answer} while {phase}: {self.answers}"
        )

    async def end(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


def revision(version: str, port: int, **labels: str) -> Revision:
    containers = [{"name": "c", "image": f"a:{version}", "ports": [{"containerPort": port}]}]
    template = {"metadata": {"labels": {"app": "a", **labels}}, "spec": {"containers": containers}}
    spec = {"replicas": 3, "selector": {"matchLabels": {"app": "a"}}, "template": template}
    name = f"a-{labels.get('lane', 'base')}"
    manifest = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name}, "spec": spec}
    return Revision.of(version, "a", yaml.safe_dump(manifest), {}, {})


async def test_gray_is_released_and_cleaned_up_and_no_request_fails_or_goes_astray(
    cluster: Cluster, namespace: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    map_addresses(monkeypatch)
    pods, listen = Pods(free_port()), free_port()
    kubeconfig = str(cluster.kubeconfig("admin", namespace))
    config = {
        "listen": f"127.0.0.1:{listen}",
        "admin": f"127.0.0.1:{free_port()}",
        "state": "state",
        "registry": {"kind": "kubernetes", "kubeconfig": kubeconfig},
        "routes": [{"path": "/A", "service": "a"}],
        "rules": [{"kubernetes": {"name": "gray-rules", "kubeconfig": kubeconfig}}],
    }
    (tmp_path / "gateway.yaml").write_text(yaml.safe_dump(config))

    async def set_lane(state: str) -> None:
        item = {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": "gray-rules"},
            "data": {"gray.yaml": RULES % state},
        }
        await asyncio.to_thread(cluster.apply, item, namespace=namespace)

    service = {"selector": {"app": "a"}, "ports": [{"port": 80, "targetPort": pods.port}]}
    head = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "a"}}
    await asyncio.to_thread(cluster.apply, {**head, "spec": service}, namespace=namespace)
    await set_lane("enabled: false, ")
    target = KubernetesTarget(ApiClient(open_access(kubeconfig)))
    prod, gray = Place("prod", namespace, "a"), Place("gray", namespace, "a")

    async def ready(place: Place, wanted: dict[str, int]) -> None:
        async with asyncio.timeout(40):
            while True:
                found = await target.observe(place)
                pods.tags.update({mapped(item.address.rpartition(":")[0]): item.tag for item in found if item.address})
                if Counter(item.version for item in found if item.phase is Phase.READY) == wanted:
                    return
                await asyncio.sleep(0.02)

    async with AsyncExitStack() as parts:
        await pods.start()
        parts.push_async_callback(pods.close)
        parts.push_async_callback(target.close)
        await target.apply(prod, revision("1", pods.port), 3)
        await ready(prod, {"1": 3})
        await EntryGateway(tmp_path / "gateway.yaml").start(parts, Sockets())
        async with ClientSession() as session:
            async with asyncio.timeout(30):
                while (await session.get(f"http://127.0.0.1:{listen}/A/a")).status != 200:
                    await asyncio.sleep(0.02)
        load = Load(listen)
        parts.push_async_callback(load.end)
        await load.lasts("baseline", "marked", "base")
        load.phase = "gray comes"
        await target.apply(gray, revision("2", pods.port, lane="gray"), 1)
        await ready(gray, {"2": 1})
        await load.lasts("gray is there, the lane closed", "marked", "base")
        load.phase = "the lane opens"
        await set_lane("")
        await until(lambda: load.answers["the lane opens", "marked", "gray"])
        await load.lasts("the lane is open", "marked", "gray")
        load.phase = "a new baseline"
        for new in (1, 2, 3):  # batch by batch, as a release does
            await target.apply(prod, revision("2", pods.port), new)
            await ready(prod, {"1": 4 - new, "2": new})
            await target.scale(prod, revision("1", pods.port).name, 3 - new)
            await ready(prod, {"1": 3 - new, "2": new} if new < 3 else {"2": 3})
        await load.lasts("the new baseline is there", "marked", "gray")
        load.phase = "the lane closes"
        await set_lane("enabled: false, ")
        await until(lambda: load.answers["the lane closes", "marked", "base"])
        await load.lasts("the lane is closed", "marked", "base")
        load.phase = "gray goes"
        await target.remove(gray)
        await load.lasts("gray is gone", "plain", "base")
        answers = load.answers
    seen: dict[tuple[str, str], set[str]] = {}
    for phase, kind, answer in answers:
        seen.setdefault((phase, kind), set()).add(answer)
    assert {answer for (_, kind), found in seen.items() if kind == "plain" for answer in found} == {"base"}
    settled = {phase: found for (phase, kind), found in seen.items() if kind == "marked"}
    assert settled.pop("the lane opens") | settled.pop("the lane closes") == {"base", "gray"}
    open_phases = ("the lane is open", "a new baseline", "the new baseline is there")
    assert {phase for phase, found in settled.items() if found == {"gray"}} == set(open_phases)
    assert all(found == {"base"} for phase, found in settled.items() if phase not in open_phases), json.dumps(str(seen))
