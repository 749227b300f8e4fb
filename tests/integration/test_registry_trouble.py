"""A gateway whose registry dies and comes back with nothing: requests go on, and each step can be seen."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession

from gateway.release.ports import free_port
from tests.support.gateway import LASTING, RULES, Gateway
from tests.support.origin import Origin
from tests.support.process import Program, get_json
from tests.support.wait import until


class Scene:
    """A gateway that asks a registry of its own process, and knows one baseline and one gray instance."""

    def __init__(self, folder: Path, origin: Origin) -> None:
        self.gateway = Gateway(folder, origin)
        self.registry = Program(folder / "registry")
        self.registry.folder.mkdir()
        self.address = f"127.0.0.1:{free_port()}"
        self._ports = origin.ports
        settings = {"kind": "nacos", "address": self.address, "interval": "100ms"}
        self.gateway.config.update(registry=settings, state="state")
        self.gateway.write("gateway.yaml", self.gateway.config)
        self.gateway.write("rules/gray.yaml", RULES)

    async def start_registry(self) -> None:
        await self.registry.start("registry", "serve", "--listen", self.address, "--warmup", "0")
        await self.registry.wait_ok(int(self.address.rpartition(":")[2]), "/nacos/v1/ns/operator/metrics")

    async def register(self, healthy: str = "true", only: str = "") -> None:
        async with ClientSession() as session:
            for name, tag in (("base", {}), ("gray", {"gray.tag": "gray"})):
                if only not in ("", name):
                    continue
                form = {"serviceName": "a", "ip": "127.0.0.1", "port": str(self._ports[name])}
                form |= {"metadata": json.dumps({**tag, **LASTING}), "healthy": healthy}
                async with session.post(f"http://{self.address}/nacos/v1/ns/instance", params=form) as response:
                    assert response.status == 200

    async def state(self, wanted: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """The service in `/api/v1/services`, once it is as wanted."""
        async with asyncio.timeout(30):
            while True:
                (service,) = (await get_json(self.gateway.admin, "/api/v1/services"))["services"]
                if wanted(service):
                    found: dict[str, Any] = service
                    return found
                await asyncio.sleep(0.02)

    async def check_both(self) -> None:
        assert await self.gateway.ask("/A/x") == "base GET /x"
        assert await self.gateway.ask("/A/x?group=gray") == "gray GET /x?group=gray"

    async def metrics(self) -> str:
        async with ClientSession() as session:
            async with session.get(f"http://127.0.0.1:{self.gateway.admin}/metrics") as response:
                return await response.text()


def kept(service: dict[str, Any]) -> dict[str, bool]:
    """Which instances are used though the registry does not say so, by tag."""
    return {pool["tag"]: item["kept"] for pool in service["pools"] for item in pool["instances"]}


@pytest.fixture
async def scene(tmp_path: Path, origin: Origin) -> AsyncIterator[Scene]:
    scene = Scene(tmp_path, origin)
    yield scene
    await scene.gateway.close()
    await scene.registry.close()


async def test_nothing_fails_and_each_step_is_told(scene: Scene) -> None:
    await scene.start_registry()
    await scene.register()
    await scene.gateway.start("serve", "-c", "gateway.yaml")
    await scene.gateway.wait_ok(scene.gateway.admin)
    await scene.check_both()

    await scene.registry.close()
    service = await scene.state(lambda service: service["state"] == "stale")
    assert "unreachable" in service["reason"]
    assert kept(service) == {"base": True, "gray": True}
    await scene.check_both()
    await scene.gateway.wait_ok(scene.gateway.admin)  # it is ready all the same

    await scene.start_registry()
    service = await scene.state(lambda service: service["state"] == "protected")
    assert service["reason"] == "an empty list is not confirmed yet; 2 instances remain in use"
    assert kept(service) == {"base": True, "gray": True}
    await scene.check_both()
    text = await scene.metrics()
    assert 'gateway_registry_protected_total{doubt="empty",registry="nacos"} 1.0' in text
    assert 'gateway_registry_errors_total{reason="unreachable",registry="nacos"}' in text
    assert 'gateway_registry_sync_age_seconds{registry="nacos",service="a",state="protected"}' in text

    # Its clients come back one by one.
    await scene.register(only="base")
    service = await scene.state(lambda service: kept(service) == {"base": False, "gray": True})
    assert (
        service["reason"]
        == "the registry was unreachable; instances that have not come back yet are kept; 2 instances remain in use"
    )
    text = await scene.metrics()
    assert 'gateway_registry_protected_total{doubt="returned",registry="nacos"} 1.0' in text
    assert 'gateway_registry_kept_instances{registry="nacos",service="a"} 1.0' in text

    await scene.register()
    service = await scene.state(lambda service: service["state"] == "fresh")
    assert kept(service) == {"base": False, "gray": False}
    await scene.check_both()
    log = scene.gateway.log.read_text()
    for line in (
        "service a is stale: unreachable",
        "service a is protected: an empty list",
        "service a is protected: the registry was unreachable",
        "service a is fresh again",
    ):
        assert log.count(line) == 1


async def test_a_gateway_that_starts_while_its_registry_is_away_routes_by_the_copy(scene: Scene) -> None:
    await scene.start_registry()
    await scene.register()
    await scene.gateway.start("serve", "-c", "gateway.yaml")
    await scene.gateway.wait_ok(scene.gateway.admin)
    await scene.check_both()
    folder = scene.gateway.folder / "state" / "registry" / "nacos"
    await until(lambda: list(folder.glob("*.json")), "the copy is written")
    (copy,) = folder.iterdir()
    assert copy.stat().st_mode & 0o777 == 0o600
    await scene.registry.close()
    await scene.gateway.close()

    await scene.gateway.start("serve", "-c", "gateway.yaml")
    await scene.gateway.wait_ok(scene.gateway.admin)
    service = await scene.state(lambda service: service["state"] == "stale")
    assert "2 instances from before the restart are used" in service["reason"]
    await scene.check_both()


async def test_a_gateway_without_registry_and_copy_says_why_and_may_be_ready_all_the_same(scene: Scene) -> None:
    scene.gateway.config["routes"].append({"path": "/ping", "respond": {"status": 200, "body": "pong"}})
    scene.gateway.write("gateway.yaml", scene.gateway.config)
    await scene.gateway.start("serve", "-c", "gateway.yaml")
    text = ""
    async with asyncio.timeout(10):
        while "unreachable" not in text:
            text = await scene.gateway.wait_ok(scene.gateway.admin, status=503)
    assert "service a: the registry has not responded yet (unreachable: cannot reach" in text
    async with ClientSession() as session, session.get(f"http://127.0.0.1:{scene.gateway.port}/A/x") as response:
        assert (response.status, response.headers["Retry-After"]) == (503, "1")
        assert (await response.json())["code"] == "no_instances"
    assert await scene.gateway.ask("/ping") == "pong"
    await scene.gateway.close()
    await scene.gateway.start("serve", "-c", "gateway.yaml", "--set", "ready_without_registry=true")
    await scene.gateway.wait_ok(scene.gateway.admin)
    # Once the registry is there everything works, without a restart.
    await scene.start_registry()
    await scene.register()
    await scene.state(lambda service: service["state"] == "fresh" and len(service["pools"]) == 2)
    await scene.check_both()


async def test_where_all_are_unhealthy_marked_requests_fall_back_or_the_unhealthy_are_used(scene: Scene) -> None:
    await scene.start_registry()
    await scene.register()
    await scene.gateway.start("serve", "-c", "gateway.yaml")
    await scene.gateway.wait_ok(scene.gateway.admin)
    await scene.register(healthy="false")
    await scene.state(lambda service: all(pool["usable"] == 0 for pool in service["pools"]))
    async with ClientSession() as session, session.get(f"http://127.0.0.1:{scene.gateway.port}/A/x") as response:
        assert response.status == 503
        assert "none of the 1 baseline instances of service a is usable" in await response.text()
    assert "service a: 1 base (0 usable), 1 gray (0 usable)" in scene.gateway.log.read_text()

    scene.gateway.config["services"] = {"a": {"when_all_unhealthy": "use_all"}}
    scene.gateway.write("gateway.yaml", scene.gateway.config)
    await scene.gateway.wait_revision(2)
    await scene.check_both()
    assert 'gateway_pool_panicking{service="a",tag="gray"} 1.0' in await scene.metrics()
    await scene.register()
    await scene.state(lambda service: not any(pool["panicking"] for pool in service["pools"]))
    assert 'gateway_pool_panicking{service="a",tag="gray"} 0.0' in await scene.metrics()
    await scene.register(healthy="false")
    await scene.state(lambda service: all(pool["panicking"] for pool in service["pools"]))
    line = "service a: all 1 instances with tag gray are unhealthy; using them all"
    assert line in scene.gateway.log.read_text()


async def test_a_sidecar_says_what_is_known_of_its_registration(scene: Scene, origin: Origin, tmp_path: Path) -> None:
    sidecar = Program(tmp_path / "sidecar")
    sidecar.folder.mkdir()
    admin = free_port()
    settings = {
        "service": "b",
        "app": f"127.0.0.1:{origin.ports['base']}",
        "inbound": "127.0.0.1:0",
        "outbound": "127.0.0.1:0",
        "admin": f"127.0.0.1:{admin}",
        "metadata": {"preserved.heart.beat.interval": "200"},
        "registry": {"kind": "nacos", "address": scene.address, "interval": "100ms"},
    }
    sidecar.write("sidecar.yaml", settings)

    async def status(state: str) -> tuple[bool, list[str], dict[str, Any]]:
        """What is said once the registration is in a state."""
        async with asyncio.timeout(30):
            while True:
                found = await get_json(admin, "/api/v1/status")
                (registry,) = found["registries"]
                if registry["registration"]["state"] == state:
                    return found["registered"], found["registered_in"], registry["registration"]
                await asyncio.sleep(0.02)

    try:
        await sidecar.start("sidecar", "-c", "sidecar.yaml")
        text = ""
        while "cannot reach" not in text:
            text = await sidecar.wait_ok(admin, status=503)
        assert text.startswith("not ready: service b is not registered yet (cannot reach http://")
        assert (await status("registering"))[:2] == (False, [])

        await scene.start_registry()
        assert (await status("registered"))[:2] == (True, ["nacos"])
        await sidecar.wait_ok(admin)

        await scene.registry.close()
        *registered, known = await status("unknown")
        assert registered == [False, []]
        assert known["age"] > 0
        assert "cannot reach" in known["reason"]
        await sidecar.wait_ok(admin)  # peers go on with what they knew
        async with ClientSession() as session, session.get(f"http://127.0.0.1:{admin}/metrics") as response:
            text = await response.text()
        assert 'gateway_registration_age_seconds{registry="nacos",state="unknown"}' in text
        shown = Program(tmp_path / "shown")
        shown.folder.mkdir()
        await shown.start("registry", "status", "--server", f"127.0.0.1:{admin}")
        assert await shown.wait() == 0
        assert "unknown, reported" in shown.log.read_text()

        await scene.start_registry()
        assert (await status("registered"))[:2] == (True, ["nacos"])
        assert sidecar.log.read_text().count("the registry responds again for b 127.0.0.1:") == 2
    finally:
        await sidecar.close()
