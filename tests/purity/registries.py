"""The registries that the churn runs on, each a real server in a process of its own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final, Protocol

from aiohttp import ClientSession

from gateway.release.ports import free_port
from tests.support.consul import CONSUL, Consul
from tests.support.process import Program
from tests.support.rnacos import RNACOS, RNacos


class Registry(Protocol):
    """Starts with what it had (or with nothing, if `fresh`), and dies."""

    kind: str
    address: str

    async def start(self, fresh: bool = False) -> None: ...

    async def stop(self) -> None: ...


class Embedded:
    """`gateway registry serve`. It keeps no instances, so that every start is `fresh`."""

    kind = "nacos"

    def __init__(self, folder: Path) -> None:
        self._port = free_port()
        self.address = f"127.0.0.1:{self._port}"
        (folder / "registry").mkdir()
        self._program = Program(folder / "registry")

    async def start(self, fresh: bool = False) -> None:
        await self._program.start("registry", "serve", "--listen", self.address, "--warmup", "1")

    async def stop(self) -> None:
        await self._program.close()


REGISTRIES: Final[dict[str, Any]] = {"embedded": Embedded, "consul": Consul, "r-nacos": RNacos}


def installed() -> list[str]:
    """Those that this machine has."""
    return ["embedded", *(["consul"] if CONSUL else []), *(["r-nacos"] if RNACOS else [])]


async def retag(registry: Registry, session: ClientSession, service: str, port: int, tag: str) -> None:
    """Changes the tag of a registered instance in place, behind its sidecar's back, as an operator may. Raises AssertionError."""
    base = f"http://{registry.address}"
    if registry.kind == "consul":
        async with session.get(f"{base}/v1/agent/services") as response:
            found = next(item for item in (await response.json()).values() if item["Port"] == port)
        kept = {"ID": found["ID"], "Name": found["Service"], "Address": found["Address"], "Port": port}
        body = {**kept, "Tags": found["Tags"], "Meta": {**found["Meta"], **_tag(found["Meta"], tag)}}
        async with session.put(f"{base}/v1/agent/service/register", json=body) as response:
            assert response.status == 200, await response.text()
        return
    async with session.get(f"{base}/nacos/v1/ns/instance/list", params={"serviceName": service}) as response:
        hosts = json.loads(await response.text())["hosts"]
    found = next(item for item in hosts if item["port"] == port)
    metadata = {**found["metadata"], **_tag(found["metadata"], tag)}
    fields = {
        "serviceName": service,
        "ip": found["ip"],
        "port": str(port),
        "ephemeral": "true",
        "weight": "1",
        "enabled": "true",
    }
    async with session.put(
        f"{base}/nacos/v1/ns/instance", params={**fields, "metadata": json.dumps(metadata)}
    ) as response:
        assert response.status == 200, await response.text()


def _tag(metadata: dict[str, str], tag: str) -> dict[str, str]:
    """The same key as there is."""
    keys = [key for key in metadata if key.endswith("tag")]
    return dict.fromkeys(keys or ["gray-tag"], tag)


def settings(registry: Registry) -> dict[str, Any]:
    """The `registry` of gateways and sidecars."""
    found: dict[str, Any] = {"kind": registry.kind, "address": registry.address}
    return {**found, "interval": "500ms"} if registry.kind == "nacos" else found
