"""python-consul's API (the maintained distribution, py-consul) over our own HTTP, for what a sidecar tells an agent.

The library makes requests and reads responses; our HTTP carries them, so that nothing blocks the loop. Why these calls and no
others: `docs/decisions/0002-python-consul.md`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Final

from gateway.errors import RegistryError
from gateway.registry.base import Registration
from gateway.registry.consul.client import ConsulClient
from gateway.registry.consul.kind import meta_key
from gateway.registry.http import path_segment
from gateway.registry.tags import OWN_KEY
from gateway.tags import BASE

if TYPE_CHECKING:
    from consul.base import Consul

MISSED: Final = 3
"""Heartbeats that may be missing before a check turns critical."""
EXPIRY: Final = "1m"
"""A service that stays critical for so long is taken out: the least that Consul takes."""


class Agent:
    """Registers instances with the local agent. All methods raise RegistryError."""

    def __init__(self, client: ConsulClient, token: str = "") -> None:
        self._client = client
        self._token = token
        self._consul: Consul | None = None
        self._registered: set[str] = set()

    async def register(self, registration: Registration) -> None:
        """Registers an instance with a check that has passed.

        The first time it takes the place of all that an earlier process has left there, maintenance included. After that an
        operator may have put the instance in maintenance, which stays.
        """
        is_first = _id(registration) not in self._registered
        tag = {} if registration.tag == BASE else {OWN_KEY: registration.tag}
        weight = max(1, round(registration.weight))
        await self._call(
            lambda consul: consul.agent.service.register(
                registration.service,
                service_id=_id(registration),
                address=registration.host,
                port=registration.port,
                meta={meta_key(key): value for key, value in registration.metadata.items()},
                tags=[f"{key}={value}" for key, value in tag.items()],
                weights={"Passing": weight, "Warning": 1},
                check={
                    "TTL": f"{MISSED * registration.interval:g}s",
                    "DeregisterCriticalServiceAfter": EXPIRY,
                    "Status": "passing",
                },
                replace_existing_checks=is_first,
            )
        )
        self._registered.add(_id(registration))
        if not is_first:
            # A check that is kept keeps its status, whatever the new one is said to have: critical, after `fail`.
            await self.heartbeat(registration)

    async def heartbeat(self, registration: Registration) -> bool:
        """Passes the check; False if the agent does not know it."""
        return await self._update_check(lambda checks, check_id: checks.ttl_pass(check_id), registration)

    async def fail(self, registration: Registration) -> None:
        """Fails the check: the instance is listed as critical. Fine if the agent does not know it."""
        notes = "its application does not accept requests"
        await self._update_check(lambda checks, check_id: checks.ttl_fail(check_id, notes), registration)

    async def _update_check(self, update: Callable[[Any, str], Awaitable[Any]], registration: Registration) -> bool:
        from consul.exceptions import ConsulException, NotFound

        try:
            updated = await self._call(
                lambda consul: update(consul.agent.check, path_segment(f"service:{_id(registration)}")), maps=False
            )
        except NotFound:
            return False
        except ConsulException as error:
            if "Unknown check" in str(error) or "does not have associated TTL" in str(error):
                return False
            raise _translated(error) from error
        return bool(updated)

    async def maintain(self, registration: Registration) -> None:
        """Puts an instance in maintenance: it is listed as critical."""
        await self._call(
            lambda consul: consul.agent.service.maintenance(
                path_segment(_id(registration)), "true", "the sidecar is stopping"
            )
        )

    async def deregister(self, registration: Registration) -> None:
        """Takes an instance out."""
        await self._call(lambda consul: consul.agent.service.deregister(path_segment(_id(registration))))

    async def _call(self, call: Callable[[Consul], Awaitable[Any]], maps: bool = True) -> Any:
        from consul.exceptions import ConsulException

        try:
            return await call(self._library())
        except ConsulException as error:
            if not maps:
                raise
            raise _translated(error) from error

    def _library(self) -> Consul:
        if self._consul is None:
            # It brings `requests` along: imported only where Consul is used.
            self._consul = _make_consul(self._client, self._token)
        return self._consul

    async def close(self) -> None:
        """Nothing to close: the client belongs to the adapter."""


def _make_consul(client: ConsulClient, token: str) -> Consul:
    from consul import base

    class Http(base.HTTPClient):  # type: ignore[misc]
        """The library's transport, over ours. Its callbacks read a whole response."""

        async def _send(self, method: str, callback: Any, path: str, params: Any, data: Any, headers: Any) -> Any:
            texts = [*((str(key), str(value)) for key, value in params or []), *client.namespace.items()]
            response = await client.request(method, path, params=texts, data=data or None, headers=headers)
            return callback(base.Response(response.status, dict(response.headers), response.text))

        def get(self, callback: Any, path: str, params: Any = None, headers: Any = None, raw: bool = False) -> Any:
            return self._send("GET", callback, path, params, None, headers)

        def put(self, callback: Any, path: str, params: Any = None, data: Any = "", headers: Any = None) -> Any:
            return self._send("PUT", callback, path, params, data, headers)

        def delete(self, callback: Any, path: str, params: Any = None, data: Any = "", headers: Any = None) -> Any:
            return self._send("DELETE", callback, path, params, data, headers)

        def post(self, callback: Any, path: str, params: Any = None, data: Any = "", headers: Any = None) -> Any:
            return self._send("POST", callback, path, params, data, headers)

        def close(self) -> None:
            """The client is closed by its owner."""

    class Library(base.Consul):  # type: ignore[misc]
        def http_connect(self, host: Any, port: Any, scheme: Any, verify: Any = True, cert: Any = None) -> Http:
            return Http(host, port, scheme, verify, cert)

    host, _, port = client.address.rpartition(":")
    library: Consul = Library(host=host, port=int(port), scheme="http")
    library.token = token or None  # the library prefers CONSUL_HTTP_TOKEN to what it is given
    return library


def _id(registration: Registration) -> str:
    return f"{registration.service}-{registration.host}-{registration.port}"


def _translated(error: Exception) -> RegistryError:
    reason = "auth" if type(error).__name__ in ("ACLPermissionDenied", "ACLDisabled") else "bad_response"
    return RegistryError(reason, f"Consul responded: {str(error)[:200]}")
