"""The embedded registry as a running thing: store, HTTP and gRPC servers, expiry, and what outlives a restart."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gateway.daemons import keep_running
from gateway.errors import StartError
from gateway.files import PRIVATE, make_private, write_file
from gateway.registry.embedded.api import Api
from gateway.registry.embedded.configs import ConfigFile
from gateway.registry.embedded.grpc import GrpcBackend
from gateway.registry.embedded.handover import restore
from gateway.registry.embedded.ports import bind_grpc, free_pair
from gateway.registry.embedded.secured import RegistryTLS
from gateway.registry.embedded.store import Refused, ServiceKey, Store
from gateway.registry.embedded.users import Users
from gateway.registry.nacos.connected import Connected
from gateway.settings import Address
from gateway.web.names import OwnNames
from gateway.web.server import WebServer
from gateway.web.work import Work

if TYPE_CHECKING:
    from gateway.registry.nacos.serving import GrpcServer

_log = logging.getLogger("gateway.registry")

TICK = 1.0
"""Seconds between two looks at the leases. (Nacos looks every 5; one is cheap here and tells sooner.)"""
WARMUP = 15.0
"""Seconds that lists are refused after a start: within this time every living instance has sent a heartbeat, learned that
it is unknown and registered again. A list given out before would take the missing ones out of service."""
CONFIGS = "configs.json"
USED = "used"
"""The file that says that instances have been registered here before: somebody may be missing after a start."""


class EmbeddedRegistry:
    """Serves a registry on `host:port` (port 0: a free one), for who calls it by an address, its own or one of `names`.

    `data` is a directory that keeps config values, and whether this is the first start, which needs no `warmup`. `users` is a
    file of those who may use it; None: everybody. `tls` are the files of a certificate and its key.
    """

    def __init__(
        self,
        host: str,
        port: int,
        *,
        warmup: float = WARMUP,
        data: Path | None = None,
        names: Collection[str] = (),
        users: Path | None = None,
        tls: tuple[str, str] | None = None,
    ) -> None:
        self._host = host
        self._port = port
        self._warmup = warmup
        self._data = data
        self._names = OwnNames(host, names)
        self._users = None if users is None else Users(users)
        self._certificate = tls
        self._tls: RegistryTLS | None = None
        self._warm_at = 0.0
        self._is_used = False
        self._server: WebServer | None = None
        self._grpc: GrpcServer | None = None
        self._task: asyncio.Task[None] | None = None
        self._changes: dict[ServiceKey, asyncio.Event] = {}
        self.store = Store()

    @property
    def address(self) -> str:
        """Where it serves."""
        return str(Address(host=self._host, port=self._port))

    @property
    def is_warming(self) -> bool:
        """Whether instances may still be missing because they have not registered again yet."""
        return asyncio.get_running_loop().time() < self._warm_at

    async def start(self) -> None:
        """Begins to serve. Raises StartError where the address is taken or the data cannot be read."""
        self.open()
        await self.listen()

    def open(self) -> None:
        """Begins to keep what is registered, for this process alone. Raises StartError where the data cannot be read."""
        loop = asyncio.get_running_loop()
        if self._users is not None:
            self._users.load()
        if self._certificate is not None:
            self._tls = RegistryTLS(*self._certificate)
        self._work = Work("registry")
        self._configs: ConfigFile | None = None
        warmup = self._warmup
        if self._data is not None:
            try:
                make_private(self._data)
            except OSError as error:
                raise StartError(
                    f"cannot keep the registry's data in {self._data}: {error.strerror or error}"
                ) from error
            self._is_used = (self._data / USED).exists()
            if not self._is_used and not (self._data / CONFIGS).exists():
                warmup = 0.0
            self._configs = ConfigFile(self.store, self._data / CONFIGS)
            self._configs.load()
        self._warm_at = loop.time() + warmup
        self._backend = GrpcBackend(self.store, lambda: self.is_warming, self._saved, loop.time, self._users)
        self._api = Api(
            self.store,
            self._names,
            self._work,
            is_warming=lambda: self.is_warming,
            saved=self._saved,
            clock=loop.time,
            users=self._users,
        )
        self.store.service_changed = self._service_changed
        self.store.config_changed = self._config_changed
        self._task = keep_running("expiring instances", self._expire)
        if warmup:
            _log.info("lists are refused for %g s while instances register again", warmup)

    async def listen(self, sock: socket.socket | None = None, grpc: socket.socket | None = None) -> None:
        """Begins to serve others, on sockets that listen already or on its own; raises StartError where it has none."""
        from gateway.registry.nacos.serving import GrpcServer

        await self._saved()  # what another process knew
        if sock is None and not self._port:
            sock, grpc = free_pair(self._host)
        self._server = WebServer(self._api.app(), self._host, self._port, "the registry")
        await self._server.start(sock, None if self._tls is None else self._tls.http)
        self._port = self._server.port
        try:
            grpc = grpc or bind_grpc(self._host, self._port)
        except StartError:
            await self._server.close()
            raise
        self._grpc = GrpcServer(self._backend, self._work, "the registry")
        await self._grpc.start(grpc, None if self._tls is None else self._tls.grpc)

    def know(self, state: Mapping[str, Any]) -> None:
        """Takes what another process knew (`handover.dump`) for what is registered: nothing has to register again.

        Raises StartError where it knew what is not accepted here: its version may be another one.
        """
        try:
            restore(self.store, state, asyncio.get_running_loop().time())
        except Refused as error:
            raise StartError(f"cannot take over what the registry knows: {error}") from error
        self._warm_at = 0.0

    async def stop_listening(self) -> None:
        """Stops serving others."""
        if self._grpc is not None:
            await self._grpc.close()
        if self._server is not None:
            self._api.close()
            await self._server.close()

    async def stop(self) -> None:
        """Stops serving."""
        if self._task is not None:
            self._task.cancel()
        await self.stop_listening()
        self._work.close()

    @property
    def has_users(self) -> bool:
        """Whether not everybody may use it."""
        return self._users is not None

    @property
    def grpc_connections(self) -> list[Connected]:
        """Clients that are connected by gRPC."""
        return [] if self._grpc is None else self._grpc.connections

    def next_change(self, key: ServiceKey) -> asyncio.Event:
        """What is set when something about a service changes for the next time. Get it before reading the service."""
        return self._changes.setdefault(key, asyncio.Event())

    def _service_changed(self, key: ServiceKey) -> None:
        self._note_use()
        self._backend.service_changed(key)
        changed = self._changes.pop(key, None)
        if changed is not None:
            changed.set()

    def _note_use(self) -> None:
        """Once in the life of a data directory: from now on a start has somebody to wait for."""
        if self._data is None or self._is_used:
            return
        try:
            write_file(self._data / USED, "Instances have been registered here.\n", PRIVATE)
            self._is_used = True
        except OSError as error:
            _log.error("cannot write %s: %s", self._data / USED, error)

    async def _expire(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            was_warming = self.is_warming
            await asyncio.sleep(TICK)
            self.store.expire(loop.time())
            if self._users is not None:
                self._users.look()
            if self._tls is not None:
                self._tls.look()
            if was_warming and not self.is_warming:
                self._backend.warmed_up()

    def _config_changed(self, key: ServiceKey) -> None:
        self._backend.config_changed(key)
        if self._configs is not None:
            self._configs.changed()
        self._api.config_changed()

    async def _saved(self) -> None:
        if self._configs is not None:
            await self._configs.saved()
