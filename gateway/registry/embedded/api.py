"""The embedded registry over HTTP, as Nacos speaks it: the v1 open API and the v3 client API on one store.

Answers have the shapes that real clients parse; where a shape differs between generations each has its own handler and
both call the same store. Sources: https://nacos.io/docs/v1/open-api/, https://nacos.io/docs/v3.0/manual/user/open-api/.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final
from urllib.parse import quote

from aiohttp import web
from aiohttp.typedefs import Handler

from gateway.printable import printable
from gateway.registry.embedded.access import LOGINS, Access
from gateway.registry.embedded.parameters import (
    SMALL,
    address,
    change_of,
    config_key,
    flag,
    is_meant,
    lease_of,
    listened,
    of_beat,
    read_parameters,
    required,
    service_key,
    whole,
)
from gateway.registry.embedded.records import record
from gateway.registry.embedded.store import DEFAULT_CLUSTER, DEFAULT_GROUP, PUBLIC, Lease, Refused, Store
from gateway.registry.embedded.users import Users
from gateway.registry.nacos.messages import service_info, service_name
from gateway.web.guard import guard
from gateway.web.names import OwnNames
from gateway.web.problems import Rejected, shown
from gateway.web.work import Work

_log = logging.getLogger("gateway.registry")

STARTING = "server is STARTING now, please try again later!"
"""Nacos' own words for a server that is not to be believed yet."""
MAX_POLL = 30.0
"""Seconds that a long poll waits at most; Nacos answers half a second early."""
MAX_PUBLISHED: Final = 14 << 20
"""Bytes of a form with a config value: one of 10 MiB, of which some has to be escaped."""
MAX_LISTENED: Final = 1 << 20
"""Bytes of a form that asks about config values …"""


class Api:
    """The routes, for who calls by `names`.

    `is_warming` says whether lists are not to be believed yet; `saved` returns when what was published is on disk; `clock`
    gives steady seconds; `users` are who may do what, None: everybody everything.
    """

    def __init__(
        self,
        store: Store,
        names: OwnNames,
        work: Work,
        *,
        is_warming: Callable[[], bool],
        saved: Callable[[], Awaitable[None]],
        clock: Callable[[], float] = time.monotonic,
        users: Users | None = None,
    ) -> None:
        self._access = Access(users, work)
        self._store = store
        self._names = names
        self._work = work
        self._is_warming = is_warming
        self._saved = saved
        self._clock = clock
        self._config_changed = asyncio.Event()
        self._is_closing = False

    def app(self) -> web.Application:
        """The aiohttp application."""
        app = web.Application(middlewares=[guard(self._names), _shape_errors, self._access.authorise])
        add = app.router.add_route
        add("GET", "/nacos/v1/ns/instance", self._instance_v1)
        add("POST", "/nacos/v1/ns/instance", self._register_v1)
        add("PUT", "/nacos/v1/ns/instance", self._update_v1)
        add("PATCH", "/nacos/v1/ns/instance", self._update_v1)
        add("DELETE", "/nacos/v1/ns/instance", self._deregister_v1)
        add("PUT", "/nacos/v1/ns/instance/beat", self._beat_v1)
        add("GET", "/nacos/v1/ns/instance/list", self._list_v1)
        add("GET", "/nacos/v1/ns/service/list", self._services_v1)
        add("GET", "/nacos/v1/ns/operator/metrics", self._metrics_v1)
        add("GET", "/nacos/v1/cs/configs", self._config_v1)
        add("POST", "/nacos/v1/cs/configs", self._publish_v1)
        add("DELETE", "/nacos/v1/cs/configs", self._remove_v1)
        add("POST", "/nacos/v1/cs/configs/listener", self._listen_v1)
        add("GET", "/nacos/v1/console/health/liveness", self._ok)
        add("GET", "/nacos/v1/console/health/readiness", self._ok)
        for path in LOGINS:
            add("POST", path, self._access.log_in)
        add("POST", "/nacos/v3/client/ns/instance", self._register_v3)
        add("DELETE", "/nacos/v3/client/ns/instance", self._deregister_v3)
        add("GET", "/nacos/v3/client/ns/instance/list", self._list_v3)
        add("PUT", "/nacos/v3/admin/ns/instance", self._update_v3)
        add("GET", "/nacos/v3/admin/ns/service/list", self._services_v3)
        add("GET", "/nacos/v3/client/cs/config", self._config_v3)
        add("POST", "/nacos/v3/admin/cs/config", self._publish_v3)
        add("DELETE", "/nacos/v3/admin/cs/config", self._remove_v3)
        add("GET", "/livez", self._ok)
        return app

    def config_changed(self) -> None:
        """Wakes the long polls; they look whether it was theirs."""
        changed, self._config_changed = self._config_changed, asyncio.Event()
        changed.set()

    def close(self) -> None:
        """Ends the long polls."""
        self._is_closing = True
        self.config_changed()

    # --- instances, v1

    async def _register_v1(self, request: web.Request) -> web.Response:
        self._register(await self._parameters(request))
        return web.Response(text="ok")

    async def _update_v1(self, request: web.Request) -> web.Response:
        await self._update(request)
        return web.Response(text="ok")

    async def _deregister_v1(self, request: web.Request) -> web.Response:
        self._deregister(await self._parameters(request))
        return web.Response(text="ok")

    async def _beat_v1(self, request: web.Request) -> web.Response:
        parameters = await self._parameters(request)
        parameters = of_beat(parameters)
        lease = self._renew(parameters)
        if lease is None:
            # Clients that send the whole instance have a forgotten one made again from it.
            if not parameters.get("beat"):
                return web.json_response({"code": 20404, "clientBeatInterval": 5000, "lightBeatEnabled": True})
            lease = self._register(parameters)
        interval = int(lease.heartbeat * 1000)
        return web.json_response({"code": 10200, "clientBeatInterval": interval, "lightBeatEnabled": True})

    async def _instance_v1(self, request: web.Request) -> web.Response:
        parameters = await self._parameters(request)
        key = service_key(parameters)
        self._refuse_while_warming()
        lease = self._store.instance(key, *address(parameters))
        if lease is None:
            raise web.HTTPNotFound(text="no matched ip found")
        name = service_name(key.group, key.name)
        return web.json_response({**record(lease, name), "service": name})

    async def _list_v1(self, request: web.Request) -> web.Response:
        parameters = await self._parameters(request)
        key = service_key(parameters)
        self._refuse_while_warming()
        healthy_only = flag(parameters, "healthyOnly", default=False)
        leases = self._store.instances(key, _clusters(parameters.get("clusters", "")))
        name = f"{key.group}@@{key.name}"
        hosts = [record(lease, name) for lease in leases if lease.enabled and (lease.healthy or not healthy_only)]
        now, clusters = int(time.time() * 1000), parameters.get("clusters", "")
        info = service_info(key.group, key.name, hosts, changed_at=now, clusters=clusters, full_name=True)
        return web.json_response(info)

    async def _services_v1(self, request: web.Request) -> web.Response:
        names, total = self._service_page(await self._parameters(request))
        return web.json_response({"count": total, "doms": names})

    async def _metrics_v1(self, _: web.Request) -> web.Response:
        return web.json_response({"status": "STARTING" if self._is_warming() else "UP"})

    # --- instances, v3

    async def _register_v3(self, request: web.Request) -> web.Response:
        parameters = await self._parameters(request)
        if flag(parameters, "heartBeat", default=False):
            if self._renew(parameters) is None:
                return web.json_response({"code": 21003, "message": "instance not found", "data": None})
        else:
            self._register(parameters)
        return _success("ok")

    async def _deregister_v3(self, request: web.Request) -> web.Response:
        self._deregister(await self._parameters(request))
        return _success("ok")

    async def _update_v3(self, request: web.Request) -> web.Response:
        await self._update(request)
        return _success("ok")

    async def _list_v3(self, request: web.Request) -> web.Response:
        parameters = await self._parameters(request)
        key = service_key(parameters)
        self._refuse_while_warming()
        leases = self._store.instances(key, _clusters(parameters.get("clusterName", "")))
        name = f"{key.group}@@{key.name}"
        return _success([record(lease, name, has_id=False) for lease in leases if lease.enabled])

    async def _services_v3(self, request: web.Request) -> web.Response:
        parameters = await self._parameters(request)
        names, total = self._service_page({**parameters, "groupName": parameters.get("groupNameParam", "")})
        group = parameters.get("groupNameParam") or DEFAULT_GROUP
        items = [{"name": name, "groupName": group} for name in names]
        return _success({"totalCount": total, "pageItems": items})

    # --- config

    async def _config_v1(self, request: web.Request) -> web.Response:
        parameters = await self._parameters(request)
        if parameters.get("search"):
            return self._search_v1(parameters)
        config = self._store.config(config_key(parameters))
        if config is None:
            return web.Response(status=404, text="config data not exist")
        headers = {"Content-MD5": config.md5, "Config-Type": config.kind}
        return web.Response(text=config.content, headers=headers)

    def _search_v1(self, parameters: Mapping[str, str]) -> web.Response:
        """A page of the values whose names match: these very ones, or with `*` for anything (`search=blur`)."""
        number, size = whole(parameters, "pageNo", 1, 1_000_000), whole(parameters, "pageSize", 100, 500)
        namespace = parameters.get("tenant") or parameters.get("namespaceId") or PUBLIC
        names = [parameters.get("group", ""), parameters.get("dataId", "")]
        if parameters["search"] not in ("accurate", "blur"):
            raise Refused(f"search {shown(parameters['search'])}: accurate or blur is accepted")
        is_blurred = parameters["search"] == "blur"
        found = [
            (key, config)
            for key, config in sorted(self._store.configs().items())
            if key.namespace == namespace
            and all(map(lambda name, said: is_meant(name, said, is_blurred), names, (key.group, key.name)))
        ]
        items = [
            {
                "id": f"{position}",
                "dataId": key.name,
                "group": key.group,
                "tenant": "" if key.namespace == PUBLIC else key.namespace,
                "content": config.content,
                "md5": config.md5,
                "type": config.kind,
                "appName": "",
            }
            for position, (key, config) in enumerate(found, 1)
        ][(number - 1) * size : number * size]
        pages = -(-len(found) // size)
        page = {"totalCount": len(found), "pageNumber": number, "pagesAvailable": pages, "pageItems": items}
        return web.json_response(page)

    async def _publish_v1(self, request: web.Request) -> web.Response:
        await self._publish(request)
        return web.Response(text="true")

    async def _remove_v1(self, request: web.Request) -> web.Response:
        self._store.remove_config(config_key(await self._parameters(request)))
        await self._saved()
        return web.Response(text="true")

    async def _listen_v1(self, request: web.Request) -> web.Response:
        """Answers with the keys whose MD5 is not what the client has, at once or when that becomes so."""
        parameters = await self._parameters(request, MAX_LISTENED)
        wait = whole(request.headers, "Long-Pulling-Timeout", 30_000, 120_000) / 1000
        deadline = self._clock() + min(MAX_POLL, max(0.0, wait - 0.5))
        wanted = listened(parameters.get("Listening-Configs", ""))
        while True:
            changed = self._config_changed
            stale = [
                line
                for line, key, digest in wanted
                if (config.md5 if (config := self._store.config(key)) else "") != digest
            ]
            left = deadline - self._clock()
            if stale or left <= 0 or self._is_closing:
                return web.Response(text="".join(quote(line, safe="") + "\n" for line in stale))
            try:
                async with asyncio.timeout(left):
                    await changed.wait()
            except TimeoutError:
                continue

    async def _config_v3(self, request: web.Request) -> web.Response:
        parameters = await self._parameters(request)
        config = self._store.config(config_key(parameters))
        if config is None:
            return web.json_response({"code": 20004, "message": "resource not found", "data": None})
        return _success({"content": config.content, "contentType": config.kind, "md5": config.md5})

    async def _publish_v3(self, request: web.Request) -> web.Response:
        await self._publish(request)
        return _success(True)

    async def _remove_v3(self, request: web.Request) -> web.Response:
        self._store.remove_config(config_key(await self._parameters(request)))
        await self._saved()
        return _success(True)

    # --- the rest

    async def _ok(self, _: web.Request) -> web.Response:
        return web.Response(text="ok")

    def _refuse_while_warming(self) -> None:
        if self._is_warming():
            raise web.HTTPServiceUnavailable(text=STARTING, headers={"Retry-After": "1"})

    async def _parameters(self, request: web.Request, limit: int = SMALL) -> dict[str, str]:
        parameters = await read_parameters(request, self._work, limit)
        self._access.check_form(request, parameters)
        return parameters

    def _register(self, parameters: Mapping[str, str]) -> Lease:
        host, port, cluster = address(parameters)
        lease = lease_of(parameters, Lease(host, port, cluster or DEFAULT_CLUSTER))
        self._store.register(service_key(parameters), lease, self._clock())
        return lease

    async def _update(self, request: web.Request) -> None:
        parameters = await self._parameters(request)
        self._store.update(service_key(parameters), address(parameters), change_of(parameters))

    def _renew(self, parameters: Mapping[str, str]) -> Lease | None:
        return self._store.renew(service_key(parameters), *address(parameters), self._clock())

    def _deregister(self, parameters: Mapping[str, str]) -> None:
        key, place = service_key(parameters), address(parameters)
        lease = self._store.instance(key, *place)
        if lease is not None and lease.owner:
            # Nacos says ok, and leaves it: its client would never notice that it is gone.
            raise Refused(
                "this instance is registered over its client's gRPC connection, and only that client can take it out; "
                "enabled=false takes it out of service"
            )
        self._store.deregister(key, *place)

    def _service_page(self, parameters: Mapping[str, str]) -> tuple[list[str], int]:
        self._refuse_while_warming()
        names = self._store.service_names(parameters.get("namespaceId", ""), parameters.get("groupName", ""))
        number = whole(parameters, "pageNo", 1, 1_000_000)
        size = whole(parameters, "pageSize", 100, 1000)
        return names[(number - 1) * size : number * size], len(names)

    async def _publish(self, request: web.Request) -> None:
        parameters = await self._parameters(request, MAX_PUBLISHED)
        content = required(parameters, "content")
        expected = request.headers.get("casMd5")
        self._store.publish(config_key(parameters), content, parameters.get("type") or "text", expected)
        await self._saved()


@web.middleware
async def _shape_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Errors as each generation's clients expect them: v3 in an envelope, v1 as plain text."""
    try:
        return await handler(request)
    except Refused as error:
        return _error(request, 400, 10000, str(error))
    except Rejected as rejected:
        return _error(request, rejected.status, rejected.status, rejected.detail)
    except web.HTTPException as error:
        answer = _error(
            request, error.status, {403: 10001, 503: 30000}.get(error.status, error.status), error.text or ""
        )
        for name in ("Allow", "Retry-After"):
            if name in error.headers:
                answer.headers[name] = error.headers[name]
        return answer
    except Exception:  # noqa: BLE001 - a bug; callers get an error in their form all the same, and the log the rest
        _log.exception("%s %s failed", request.method, request.path)
        return _error(request, 500, 30000, "internal error; see the registry's log")


def _error(request: web.Request, status: int, code: int, message: str) -> web.Response:
    if request.path.startswith("/nacos/v3/"):
        return web.json_response({"code": code, "message": message, "data": None}, status=status)
    return web.Response(status=status, text=printable(message))


def _success(data: Any) -> web.Response:
    return web.json_response({"code": 0, "message": "success", "data": data})


def _clusters(text: str) -> frozenset[str]:
    return frozenset(cluster for cluster in text.split(",") if cluster)
