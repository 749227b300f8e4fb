"""The registries that the demo can run on: the embedded one, a Nacos server, a Consul agent.

A server that is not ours is one that the operator has (`--address`), or a program that is installed here, which the demo
starts with nothing in it.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from gateway.demo.processes import Process, Processes, ProcessFailed
from gateway.errors import RegistryError
from gateway.registry.consul.client import ConsulClient
from gateway.registry.nacos.client import Credentials, NacosClient
from gateway.registry.nacos.messages import CONFIG
from gateway.release.ports import free_port
from gateway.rulesources.consul import ConsulDocument
from gateway.rulesources.documents import ConflictError, RemoteDocument
from gateway.rulesources.nacos import NacosDocument
from gateway.settings.nacosports import PORT_OFFSET

CONFIG_KEY: Final = "demo"
"""What service A's configuration value is called."""
CONFIG_VALUE: Final = "base"
CONFIG_INTERVAL: Final = 1.0
"""Seconds between two looks at it where the registry does not report changes, or is down."""
POLL: Final = 0.25
"""Seconds between two looks of gateways and sidecars at a Nacos server."""
PATIENCE: Final = 5.0
"""Seconds that r-nacos has to come up and keep a config."""
USERNAME: Final = "GRAY_DEMO_USERNAME"
PASSWORD: Final = "GRAY_DEMO_PASSWORD"
"""Variables with the user of the operator's Nacos. Files of the demo name them: the password is in none that it writes."""


def servers_folder() -> Path:
    """Where `make servers` puts what it builds."""
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(os.environ.get("GRAY_SERVERS") or Path(cache) / "gray-gateway" / "servers") / "bin"


def find_server(program: str) -> str | None:
    """The path of a registry server's program: on the PATH, or built by `make servers`; None where there is none."""
    return shutil.which(program) or shutil.which(program, path=servers_folder())


def config_document(kind: str, address: str) -> RemoteDocument:
    """Service A's configuration value."""
    if kind == "consul":
        return ConsulDocument(ConsulClient(address), CONFIG_KEY)
    user = Credentials(os.environ.get(USERNAME, ""), os.environ.get(PASSWORD, ""))
    return NacosDocument(NacosClient([address], user, module=CONFIG), CONFIG_KEY, "DEFAULT_GROUP", "", CONFIG_INTERVAL)


class DemoRegistry:
    """One registry of the demo. `address` is the operator's server; empty: the demo starts one of its own."""

    kind = "nacos"
    """What clients speak with it."""

    def __init__(self, address: str = "") -> None:
        self.is_ours = not address
        self.address = address or f"127.0.0.1:{free_port()}"
        self._process: Process | None = None

    @property
    def settings(self) -> dict[str, Any]:
        """The `registry` of gateways and sidecars."""
        return {"kind": "nacos", "address": self.address, "interval": POLL}

    async def start(self, processes: Processes, folder: Path) -> None:
        """Starts the server with nothing in it, where it is ours. Raises ProcessFailed where its program is missing."""
        if self.is_ours:
            self._process = await self._launch(processes, folder)

    async def kill(self, processes: Processes) -> None:
        """Kills the server, which is ours, as a crash would. `start` starts it again with nothing in it."""
        assert self._process is not None
        await self._process.kill()
        processes.forget(self._process)

    async def publish_config(self) -> bool:
        """Writes A's configuration value; returns whether it is there. Raises ProcessFailed where that is not allowed."""
        document = config_document(self.kind, self.address)
        try:
            known = await document.read()
            if known != CONFIG_VALUE:
                await document.publish(CONFIG_VALUE, known)
        except RegistryError as error:
            if error.reason == "auth":
                raise ProcessFailed(f"cannot write the config value of A: {error}") from error
            return False
        except ConflictError:
            return False
        finally:
            await document.close()
        return True

    async def _launch(self, processes: Processes, folder: Path) -> Process:
        listen = ("--listen", self.address, "--warmup", "0")
        return await processes.start("registry", "-m", "gateway", "registry", "serve", *listen)


class NacosRegistry(DemoRegistry):
    """A Nacos server; the one that the demo starts is r-nacos."""

    @property
    def settings(self) -> dict[str, Any]:
        """See DemoRegistry."""
        if self.is_ours or not os.environ.get(USERNAME):
            return super().settings
        return {**super().settings, "username": f"${{{USERNAME}}}", "password": f"${{{PASSWORD}}}"}

    async def start(self, processes: Processes, folder: Path) -> None:
        """See DemoRegistry. On a busy machine some come up such that they keep no config, for ever: those start again."""
        await super().start(processes, folder)
        while self._process is not None and not await self._keeps_configs(processes):
            await self._process.kill()
            processes.forget(self._process)
            await super().start(processes, folder)

    async def _keeps_configs(self, processes: Processes) -> bool:
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            if await self.publish_config():
                return True
            processes.check()
            await asyncio.sleep(0.05)
        return False

    async def _launch(self, processes: Processes, folder: Path) -> Process:
        data = folder / "rnacos"
        shutil.rmtree(data, ignore_errors=True)
        data.mkdir()
        settings = {
            "RNACOS_HTTP_PORT": (port := self.address.rpartition(":")[2]),
            "RNACOS_GRPC_PORT": str(int(port) + PORT_OFFSET),
            "RNACOS_HTTP_CONSOLE_PORT": "0",
            "RNACOS_DATA_DIR": str(data),
        }
        program = _program("rnacos", "nacos")
        # It takes half a minute to end of itself, and has nothing to lose.
        return await processes.start("registry", program=program, environment=settings, folder=data, grace=1.0)


class ConsulRegistry(DemoRegistry):
    """A Consul agent; the one that the demo starts is in development mode: it keeps nothing on disk."""

    kind = "consul"
    options: tuple[str, ...] = ()
    """More of the agent's options."""

    @property
    def settings(self) -> dict[str, Any]:
        """See DemoRegistry."""
        return {"kind": "consul", "address": self.address}

    async def _launch(self, processes: Processes, folder: Path) -> Process:
        others = [f"-{name}-port={free_port()}" for name in ("serf-lan", "serf-wan", "server")]
        none = [f"-{name}-port=-1" for name in ("dns", "grpc", "grpc-tls")]
        http = f"-http-port={self.address.rpartition(':')[2]}"
        local = ("-dev", "-bind=127.0.0.1", "-client=127.0.0.1", "-log-level=warn")
        arguments = ("agent", *local, http, *others, *none, *self.options)
        return await processes.start("registry", *arguments, program=_program("consul", "consul"))


REGISTRIES: Final[Mapping[str, type[DemoRegistry]]] = {
    "embedded": DemoRegistry,
    "nacos": NacosRegistry,
    "consul": ConsulRegistry,
}
"""By what `--registry` calls them."""


def _program(name: str, kind: str) -> str:
    found = find_server(name)
    if found is None:
        raise ProcessFailed(
            f"there is no program `{name}` on the PATH or in {servers_folder()}; give the address of a running server "
            f"(--registry {kind} --address HOST:PORT), or build the program with `make servers`"
        )
    return found
