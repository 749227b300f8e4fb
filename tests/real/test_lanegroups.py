"""LaneGroup objects of a real API server: their schema, a gateway that follows them, and what `kubectl get` shows."""

from __future__ import annotations

import asyncio
import json
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
import yaml

from gateway.app.entry import EntryGateway
from gateway.app.sockets import Sockets
from gateway.kubernetes.access import open_access
from gateway.kubernetes.client import ApiClient
from gateway.release.ports import free_port
from gateway.rulesources.documents import ConflictError
from gateway.rulesources.lanegroups import LaneGroupFolder
from tests.real.make_chart import FOLDER
from tests.support.kubernetes import Cluster, needs_kubernetes

pytestmark = [pytest.mark.real, needs_kubernetes]

LANE = {"name": "gray", "tag": "gray", "match": [{"param": "group", "equals": "gray"}]}


def group(name: str, **spec: Any) -> dict[str, Any]:
    spec = {"lanes": [LANE], **spec}
    return {"apiVersion": "graygateway.io/v1alpha1", "kind": "LaneGroup", "metadata": {"name": name}, "spec": spec}


@pytest.fixture(autouse=True)
def _definition(cluster: Cluster) -> None:
    cluster.kubectl("apply", "--server-side", "-f", str(FOLDER / "lanegroups.yaml"))
    cluster.kubectl("wait", "--for=condition=Established", "crd/lanegroups.graygateway.io", "--timeout=30s")


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"lanes": [{**LANE, "tgs": "x"}]}, "tgs"),
        ({"lanes": [{**LANE, "match_mode": "some"}]}, "Unsupported value"),
        ({"services": "a"}, "must be of type array"),
        ({"lanes": [{"name": "gray"}]}, "Required value"),
    ],
)
def test_the_server_refuses_what_the_schema_does_not_have(
    cluster: Cluster, namespace: str, spec: dict[str, Any], message: str
) -> None:
    assert message in cluster.refused("apply", "-n", namespace, "-f", "-", text=json.dumps(group("demo", **spec)))


async def test_a_gateway_follows_them_and_shows_how_each_fared(
    cluster: Cluster, namespace: str, tmp_path: Path
) -> None:
    kubeconfig = str(cluster.kubeconfig("admin", namespace))
    config = {
        "listen": f"127.0.0.1:{free_port()}",
        "admin": f"127.0.0.1:{free_port()}",
        "registry": {"kind": "static"},
        "routes": [{"path": "/A", "respond": {"body": "x"}}],
        "rules": [{"kubernetes": {"lane_groups": True, "kubeconfig": kubeconfig}}],
    }
    (tmp_path / "gateway.yaml").write_text(yaml.safe_dump(config))

    async def rows() -> list[list[str]]:
        text = await asyncio.to_thread(cluster.kubectl, "-n", namespace, "get", "lanegroups", "-o", "json")
        found = []
        for item in json.loads(text)["items"]:
            conditions = {entry["type"]: entry for entry in item.get("status", {}).get("conditions", [])}
            states = [conditions.get(kind, {}).get("status", "") for kind in ("Accepted", "InForce")]
            found.append([item["metadata"]["name"], item.get("status", {}).get("lanes", ""), *states])
        return found

    async def shows(expected: list[list[str]]) -> None:
        async with asyncio.timeout(30):
            while await rows() != expected:
                await asyncio.sleep(0.05)

    await asyncio.to_thread(cluster.apply, group("demo"), namespace=namespace)
    async with AsyncExitStack() as parts:
        await EntryGateway(tmp_path / "gateway.yaml").start(parts, Sockets())
        await shows([["demo", "gray (open)", "True", "True"]])
        await asyncio.to_thread(cluster.apply, group("demo", enabled=False), namespace=namespace)
        await shows([["demo", "gray (closed)", "True", "True"]])
        bad = group("other", lanes=[{**LANE, "match": [{"param": "x", "regex": "("}]}])
        await asyncio.to_thread(cluster.apply, bad, namespace=namespace)
        await shows([["demo", "gray (closed)", "True", "False"], ["other", "gray (open)", "False", "False"]])
        table = await asyncio.to_thread(cluster.kubectl, "-n", namespace, "get", "lanegroups")
        assert table.split("\n")[0].split() == ["NAME", "LANES", "ACCEPTED", "IN", "FORCE", "PROBLEM", "AGE"]
        await asyncio.to_thread(cluster.kubectl, "-n", namespace, "delete", "lanegroup", "other")
        await shows([["demo", "gray (closed)", "True", "True"]])


async def test_a_group_is_written_only_over_what_was_read(cluster: Cluster, namespace: str) -> None:
    await asyncio.to_thread(cluster.apply, group("demo"), namespace=namespace)
    folder = LaneGroupFolder(ApiClient(open_access(str(cluster.kubeconfig("admin", namespace)))), "")
    watch = folder.watch()
    texts = await anext(watch)
    assert texts is not None
    before = texts["demo.yaml"]
    changed = before.replace("tag: gray", "tag: blue")
    await folder.publish("demo.yaml", changed, before)
    async with asyncio.timeout(15):
        while await anext(watch) != {"demo.yaml": changed}:
            pass
    with pytest.raises(ConflictError):
        await folder.publish("demo.yaml", before, before)
    await folder.publish("new.yaml", before.replace("demo", "new"), None)
    await folder.publish("new.yaml", None, before.replace("demo", "new"))
    await watch.aclose()
    await folder.close()
