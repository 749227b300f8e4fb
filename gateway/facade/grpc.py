"""The façade over gRPC: services are the sidecar's to tell of, and config values are the registry's, passed on as they are."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from gateway.errors import RegistryError
from gateway.facade.naming import FacadeStore
from gateway.registry.embedded.grpc import GrpcBackend, config_key, service_key
from gateway.registry.embedded.store import Refused, ServiceKey
from gateway.registry.nacos import messages
from gateway.registry.nacos.client import NacosClient
from gateway.registry.nacos.connected import Connected, Refusal, keep
from gateway.registry.nacos.messages import CONFIG, JSON, ResponseError

if TYPE_CHECKING:
    from gateway.registry.nacos.rpc import Connection

_log = logging.getLogger("gateway.registry")

MOST_REMEMBERED: Final = 1000
"""Config values that are answered while the registry is away …"""
MOST_CHARACTERS: Final = 32 << 20
"""… and how long all of them may be together."""
BAD: Final = 400


class FacadeBackend(GrpcBackend):
    """See `connected.Backend`."""

    def __init__(self, store: FacadeStore, relay: ConfigRelay, naming: NacosClient) -> None:
        super().__init__(store, lambda: False, _saved, asyncio.get_running_loop().time)
        self._facade = store
        self._relay = relay
        self._naming = naming

    async def respond(self, connection: Connected, request: str, body: JSON, headers: Mapping[str, str]) -> JSON:
        """See Backend."""
        if messages.BY_REQUEST[request].module == CONFIG:
            return await self._relay.respond(connection, request, body, headers)
        if request in ("SubscribeServiceRequest", "ServiceQueryRequest") and body.get("subscribe") is not False:
            try:
                await self._facade.learn(service_key(body))
            except Refused as error:
                raise Refusal(BAD, str(error)) from error
        if request == "ServiceListRequest":
            try:
                upstream = await self._naming.rpc.connection()
                return await upstream.request(request, body, headers)
            except RegistryError as error:
                _log.debug("services are listed from memory: %s", error)
        return await super().respond(connection, request, body, headers)

    def closed(self, connection: Connected) -> None:
        """See Backend. An application that is gone is found out by its own check; a connection may just be another one."""
        connection.registered.clear()
        self._relay.closed(connection)
        super().closed(connection)


class ConfigRelay:
    """Passes config requests on, over one connection to the registry for all of the application's."""

    def __init__(self, client: NacosClient) -> None:
        self._client = client
        self._listeners: dict[ServiceKey, set[Connected]] = {}
        self._contexts: dict[ServiceKey, JSON] = {}
        self._headers: Mapping[str, str] = {}
        self._known: dict[ServiceKey, JSON] = {}
        self._size = 0

    async def respond(self, connection: Connected, request: str, body: JSON, headers: Mapping[str, str]) -> JSON:
        """The registry's response; what was read before, while it is away. Raises Refusal."""
        self._headers = headers
        rpc = self._client.rpc
        rpc.pushed["ConfigChangeNotifyRequest"] = self._changed
        rpc.connected = self._listen_again
        try:
            if request == "ConfigBatchListenRequest":
                self._take(connection, body)
                rpc.keep_connected()
            upstream = await rpc.connection()
            response = await upstream.request(request, body, headers)
        except Refused as error:
            raise Refusal(BAD, str(error)) from error
        except ResponseError as error:
            if request == "ConfigQueryRequest" and error.code == messages.NOT_FOUND:
                self._forget_value(config_key(body))
            raise Refusal(error.code, str(error)) from error
        except RegistryError as error:
            known = self._known.get(config_key(body)) if request == "ConfigQueryRequest" else None
            if known is None:
                raise Refusal(messages.STARTING, f"the registry is unreachable: {error}") from error
            return known
        if request == "ConfigQueryRequest":
            self._remember(config_key(body), response)
        return response

    def _remember(self, key: ServiceKey, response: JSON) -> None:
        """Keeps a value, and none that is older: what there is no room for is forgotten."""
        self._forget_value(key)
        if len(self._known) < MOST_REMEMBERED and self._size + _size(response) <= MOST_CHARACTERS:
            self._known[key] = response
            self._size += _size(response)

    def _forget_value(self, key: ServiceKey) -> None:
        known = self._known.pop(key, None)
        self._size -= 0 if known is None else _size(known)

    def closed(self, connection: Connected) -> None:
        """Nobody listens over a connection any more."""
        for key in list(connection.listened):
            self._forget(connection, key)

    def _take(self, connection: Connected, body: JSON) -> None:
        contexts = body.get("configListenContexts")
        if not isinstance(contexts, list) or not all(isinstance(context, dict) for context in contexts):
            raise Refused("configListenContexts: a list of objects is accepted")
        for context in contexts:
            key = config_key(context)
            if body.get("listen") is False:
                self._forget(connection, key)
                continue
            keep(connection.listened, key, context.get("tenant") or "")
            self._listeners.setdefault(key, set()).add(connection)
            self._contexts[key] = context

    def _forget(self, connection: Connected, key: ServiceKey) -> None:
        connection.listened.pop(key, None)
        listeners = self._listeners.get(key, set())
        listeners.discard(connection)
        if not listeners:
            self._listeners.pop(key, None)
            self._contexts.pop(key, None)

    def _changed(self, body: JSON) -> None:
        try:
            key = config_key(body)
        except Refused:
            return
        for connection in self._listeners.get(key, ()):
            connection.notify("ConfigChangeNotifyRequest", key)

    async def _listen_again(self, upstream: Connection) -> None:
        """Over a new connection: what has changed in the meantime is told."""
        if not self._contexts:
            return
        body = {"listen": True, "configListenContexts": list(self._contexts.values())}
        try:
            response = await upstream.request("ConfigBatchListenRequest", body, self._headers)
        except RegistryError as error:
            _log.warning("changes of config values are not followed: %s", error)
            upstream.close()
            return
        changed: Any = response.get("changedConfigs")
        for item in changed if isinstance(changed, list) else ():
            if isinstance(item, dict):
                self._changed(item)


def _size(response: JSON) -> int:
    return len(f"{response.get('content') or ''}")


async def _saved() -> None:
    """Nothing is kept here."""
