"""The registries that the churn runs on, each a real server in a process of its own."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final, Protocol

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


def settings(registry: Registry) -> dict[str, Any]:
    """The `registry` of gateways and sidecars."""
    found: dict[str, Any] = {"kind": registry.kind, "address": registry.address}
    return {**found, "interval": "500ms"} if registry.kind == "nacos" else found
