"""Consul's agent as an application sees it: its service and its peers are the sidecar's to tell of, everything else the agent's.

Sources: https://developer.hashicorp.com/consul/api-docs (agent/service, agent/check, health, catalog, features/blocking).
"""

from __future__ import annotations

import asyncio
import re
import socket
import time
from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import Any, Final

from aiohttp import web
from aiohttp.typedefs import Handler

from gateway.facade.naming import Application, Behind, FacadeStore
from gateway.facade.passing import MAX_BODY, Passing
from gateway.registry.embedded.parameters import json_text
from gateway.registry.embedded.store import Lease, Refused, ServiceKey
from gateway.settings import Address, ConsulRegistrySettings
from gateway.tls.servers import server_tls
from gateway.web.bodies import parse_json, read_body
from gateway.web.guard import guard
from gateway.web.names import OwnNames
from gateway.web.problems import Rejected, shown
from gateway.web.server import WebServer
from gateway.web.work import Work

PURPOSE: Final = "the façade"
LONGEST_WAIT: Final = 600.0
DEFAULT_WAIT: Final = 300.0
"""Seconds of a blocking query, Consul's own."""
_DURATION: Final = re.compile(r"([0-9]{1,6})(ms|s|m)")
_UNITS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0}
_PASSING: Final = {"passing", "pass", ""}


class ConsulFacade:
    """Stands in for the agent that `settings` are of. `names` are those by which it is called, beside addresses."""

    def __init__(
        self, address: Address, settings: ConsulRegistrySettings, behind: Behind, names: Collection[str] = ()
    ) -> None:
        tls = server_tls(settings)
        self._own = behind.own
        self._store = FacadeStore(behind)
        self._store.service_changed = self._changed
        self._passing = Passing([str(settings.address)], tls)
        self._work = Work("facade")
        self._service_id = ""
        self._index = int(time.time())
        self._indices: dict[str, int] = {}
        self._changes: dict[str, asyncio.Event] = {}
        app = web.Application(middlewares=[guard(OwnNames(address.host, names)), _shape_errors])
        for method, path, handler in self._routes():
            app.router.add_route(method, path, handler)
        self._web = WebServer(app, address.host, address.port, PURPOSE)

    def _routes(self) -> list[tuple[str, str, Callable[[web.Request], Awaitable[web.StreamResponse]]]]:
        return [
            ("PUT", "/v1/agent/service/register", self._register),
            ("PUT", "/v1/agent/service/deregister/{id}", self._deregister),
            ("PUT", "/v1/agent/service/maintenance/{id}", self._maintain),
            ("PUT", "/v1/agent/check/{verb:pass|warn|fail|update}/{id}", self._check),
            ("GET", "/v1/health/service/{name}", self._health),
            ("GET", "/v1/catalog/service/{name}", self._catalog),
            # What else there is to register would go past the sidecar.
            ("PUT", "/v1/catalog/register", _refuse),
            ("PUT", "/v1/agent/check/register", _refuse),
            ("*", "/{path:.*}", self._passing.on),
        ]

    async def start(self, http: socket.socket) -> None:
        """Begins to serve on a socket that listens. Raises StartError."""
        await self._web.start(http)

    def know(self, application: Application) -> None:
        """Takes what another process knew the application to have registered."""
        self._store.know(application)

    async def changed(self, service: str) -> None:
        """Tells the application that a service has instances now, or none any more."""
        await self._store.changed(service)

    async def close(self) -> None:
        """Stops serving."""
        for changed in self._changes.values():
            changed.set()
        await self._web.close()
        await self._passing.close()
        self._work.close()

    # --- what the application says of itself

    async def _register(self, request: web.Request) -> web.Response:
        said = await self._work.json(await read_body(request, MAX_BODY))
        if not isinstance(said, dict) or not isinstance(said.get("Name"), str):
            raise Refused("a service is an object with a Name")
        host, port = said.get("Address") or "127.0.0.1", said.get("Port")
        if not isinstance(host, str) or not isinstance(port, int):
            raise Refused("Address is a text, and Port a number")
        metadata = {**_pairs(said.get("Tags")), **_meta(said.get("Meta"))}
        self._store.register(self._key(said["Name"]), Lease(host, port, metadata=metadata), 0.0)
        self._service_id = f"{said.get('ID') or said['Name']}"
        return web.Response()

    async def _deregister(self, request: web.Request) -> web.Response:
        if self._is_mine(request.match_info["id"]):
            self._store.forget()
        return web.Response()

    async def _maintain(self, request: web.Request) -> web.Response:
        if not self._is_mine(request.match_info["id"]):
            raise web.HTTPNotFound(text=f"unknown service ID {shown(request.match_info['id'])}")
        self._store.enable(request.query.get("enable") != "true")
        return web.Response()

    async def _check(self, request: web.Request) -> web.Response:
        """A heartbeat. Whether the application takes requests the sidecar finds out itself; what it says counts as well."""
        if not self._is_mine(request.match_info["id"].partition(":")[2]):
            raise web.HTTPNotFound(text=f"unknown check ID {shown(request.match_info['id'])}")
        verb = request.match_info["verb"]
        if verb == "update":
            said = parse_json(await read_body(request, MAX_BODY) or b"{}")
            verb = f"{said.get('Status') or ''}" if isinstance(said, dict) else ""
        self._store.enable(verb in {*_PASSING, "warn", "warning"})
        return web.Response()

    def _is_mine(self, service_id: str) -> bool:
        return bool(self._service_id) and service_id == self._service_id

    # --- what it is told

    async def _health(self, request: web.Request) -> web.Response:
        return await self._listed(request, _health_entry)

    async def _catalog(self, request: web.Request) -> web.Response:
        return await self._listed(request, _catalog_entry)

    async def _listed(self, request: web.Request, entry: Callable[[str, Lease], dict[str, Any]]) -> web.Response:
        name = request.match_info["name"]
        key = self._key(name)
        await self._store.learn(key)
        known = self._indices.setdefault(name, self._index)
        if request.query.get("index", "").isdigit() and int(request.query["index"]) == known:
            changed = self._changes.setdefault(name, asyncio.Event())
            try:
                async with asyncio.timeout(_seconds(request.query.get("wait", ""))):
                    await changed.wait()
            except TimeoutError:
                pass
        found = [entry(name, lease) for lease in self._store.instances(key)]
        headers = {
            "X-Consul-Index": f"{self._indices[name]}",
            "X-Consul-KnownLeader": "true",
            "X-Consul-LastContact": "0",
        }
        return web.json_response(found, headers=headers)

    def _changed(self, key: ServiceKey) -> None:
        self._index += 1
        self._indices[key.name] = self._index
        changed = self._changes.pop(key.name, None)
        if changed is not None:
            changed.set()

    def _key(self, name: str) -> ServiceKey:
        return ServiceKey.of(self._own.namespace, self._own.group, name)


def _health_entry(name: str, lease: Lease) -> dict[str, Any]:
    node = {"ID": "", "Node": "sidecar", "Address": lease.host, "Datacenter": "", "Meta": {}}
    service = {
        "ID": f"{name}-by-sidecar",
        "Service": name,
        "Tags": [],
        "Address": lease.host,
        "Port": lease.port,
        "Meta": {},
        "Weights": {"Passing": 1, "Warning": 1},
    }
    check = {"Node": "sidecar", "CheckID": "serfHealth", "Name": "sidecar", "Status": "passing", "ServiceID": ""}
    return {"Node": node, "Service": service, "Checks": [check]}


def _catalog_entry(name: str, lease: Lease) -> dict[str, Any]:
    return {
        "ID": "",
        "Node": "sidecar",
        "Address": lease.host,
        "Datacenter": "",
        "ServiceID": f"{name}-by-sidecar",
        "ServiceName": name,
        "ServiceAddress": lease.host,
        "ServicePort": lease.port,
        "ServiceTags": [],
        "ServiceMeta": {},
    }


def _pairs(tags: Any) -> dict[str, str]:
    """The words `key=value` among a service's tags, which say what Meta says."""
    words = [word for word in tags if isinstance(word, str)] if isinstance(tags, list) else []
    return {key: value for key, equals, value in (word.partition("=") for word in words) if equals}


def _meta(meta: Any) -> Mapping[str, str]:
    if not isinstance(meta, dict | None):
        raise Refused("Meta is an object")
    return {key: json_text(value, f"Meta {key}") for key, value in (meta or {}).items() if value is not None}


def _seconds(wait: str) -> float:
    """How long a blocking query waits (`30s`, `5m`)."""
    if not wait:
        return DEFAULT_WAIT
    found = _DURATION.fullmatch(wait)
    if found is None:
        raise Refused("Invalid wait time")
    return min(LONGEST_WAIT, int(found[1]) * _UNITS[found[2]])


async def _refuse(request: web.Request) -> web.Response:
    raise Rejected(404, "not_found", f"the sidecar's façade does not serve {request.path}")


@web.middleware
async def _shape_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Errors in plain text, as the agent's are."""
    try:
        return await handler(request)
    except Refused as error:
        return web.Response(status=400, text=f"{error}")
    except Rejected as rejected:
        return web.Response(status=rejected.status, text=rejected.detail)
