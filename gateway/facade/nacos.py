"""Nacos as an application sees it: both protocols on two ports of the sidecar."""

from __future__ import annotations

import socket
from collections.abc import Collection

from gateway.facade.grpc import ConfigRelay, FacadeBackend
from gateway.facade.http import HttpFacade
from gateway.facade.naming import Application, Behind, FacadeStore
from gateway.registry.nacos.client import NacosClient, TlsContexts
from gateway.registry.nacos.messages import CONFIG
from gateway.registry.nacos.serving import GrpcServer
from gateway.settings import Address, NacosRegistrySettings
from gateway.web.names import OwnNames
from gateway.web.server import WebServer
from gateway.web.work import Work

PURPOSE = "the façade"


class NacosFacade:
    """Stands in for the registry that `settings` are of. `names` are those by which it is called, beside addresses."""

    def __init__(
        self, address: Address, settings: NacosRegistrySettings, behind: Behind, names: Collection[str] = ()
    ) -> None:
        tls = TlsContexts.load(settings)
        self._work = Work("facade")
        self._store = FacadeStore(behind)
        # As whom an application logs in is the application's to say: nothing is asked for here in the sidecar's own name.
        self._configs = NacosClient(settings.servers, module=CONFIG, namespace=settings.namespace, tls=tls)
        self._naming = NacosClient(settings.servers, namespace=settings.namespace, tls=tls)
        self._http = HttpFacade(self._store, OwnNames(address.host, names), self._work, settings.servers, tls)
        self._web = WebServer(self._http.app(), address.host, address.port, PURPOSE)
        self._backend = FacadeBackend(self._store, ConfigRelay(self._configs), self._naming)
        self._store.service_changed = self._backend.service_changed
        self._grpc = GrpcServer(self._backend, self._work, PURPOSE)

    async def start(self, http: socket.socket, grpc: socket.socket) -> None:
        """Begins to serve on sockets that listen. Raises StartError."""
        await self._web.start(http)
        await self._grpc.start(grpc)

    def know(self, application: Application) -> None:
        """Takes what another process knew the application to have registered."""
        self._store.know(application)

    async def changed(self, service: str) -> None:
        """Tells the application that a service has instances now, or none any more."""
        await self._store.changed(service)

    async def close(self) -> None:
        """Stops serving."""
        await self._grpc.close()
        await self._http.close()
        await self._web.close()
        await self._configs.close()
        await self._naming.close()
        self._work.close()
