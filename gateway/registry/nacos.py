"""The Nacos client: instances, registration and config over Nacos' HTTP APIs, by polling.

Two generations are spoken: the v3 client API (Nacos 3.0 and later) and the v1 open API (up to 3.1). Which one is found
out by asking and found out again when the answers say that it is gone (a rolling upgrade). The embedded registry speaks
both. Sources: https://nacos.io/docs/v3.0/manual/user/open-api/, https://nacos.io/docs/v1/open-api/.
"""

from __future__ import annotations

import asyncio
import json
import math
import random
from collections.abc import AsyncIterator, Mapping
from typing import Any, Final

from aiohttp import ClientError, ClientSession, ClientTimeout

from gateway.errors import RegistryError
from gateway.registry.base import Registration
from gateway.registry.tags import OWN_KEY, tag_of
from gateway.routing.instance import BASE, Instance, sorted_instances

V1: Final = "v1"
V3: Final = "v3"
TIMEOUT: Final = ClientTimeout(total=3.0, sock_connect=1.0)
JITTER: Final = 0.2
"""Share by which each polling interval varies, so that gateways do not ask in step."""

_GONE: Final = frozenset({404, 405, 410, 501})
_OK: Final = 0
_INSTANCE_NOT_FOUND: Final = 21003
_BEAT_NOT_FOUND: Final = 20404


class NacosAdapter:
    """RegistryAdapter and RegistrarAdapter for one Nacos server. `interval` is seconds between polls of a service."""

    kind = "nacos"
    is_authoritative = False

    def __init__(self, address: str, namespace: str = "", group: str = "DEFAULT_GROUP", interval: float = 2.0) -> None:
        self._base = f"http://{address}/nacos"
        self._namespace = namespace
        self._group = group
        self._interval = interval
        self._generation = ""
        self._session: ClientSession | None = None

    @property
    def generation(self) -> str:
        """`v1` or `v3`; empty until the server has answered."""
        return self._generation

    async def close(self) -> None:
        """Closes the connections."""
        if self._session is not None:
            await self._session.close()

    # --- instances

    async def watch(self, service: str) -> AsyncIterator[tuple[Instance, ...]]:
        """See RegistryAdapter."""
        while True:
            yield await self.instances(service)
            await asyncio.sleep(self._interval * random.uniform(1 - JITTER, 1 + JITTER))

    async def instances(self, service: str) -> tuple[Instance, ...]:
        """The service's instances, unhealthy ones included. Raises RegistryError."""
        if await self._detect() == V3:
            body = await self._call("GET", "/v3/client/ns/instance/list", self._keys(service, V3))
            records = _data(body)
        else:
            body = await self._call("GET", "/v1/ns/instance/list", {**self._keys(service, V1), "healthyOnly": "false"})
            records = body.get("hosts")
        if not isinstance(records, list):
            raise RegistryError("bad_answer", f"the instance list of {service} is not a list")
        found = [instance for record in records if (instance := _instance(record)) is not None]
        return sorted_instances(found)

    # --- registration

    async def register(self, registration: Registration) -> None:
        """See RegistrarAdapter."""
        metadata = dict(registration.metadata)
        if registration.tag != BASE:
            metadata[OWN_KEY] = registration.tag
        generation = await self._detect()
        form = {
            **self._keys(registration.service, generation),
            **_endpoint(registration),
            "weight": f"{registration.weight:g}",
            "enabled": "true",
            "healthy": "true",
            "ephemeral": "true",
            "metadata": json.dumps(metadata),
        }
        if generation == V3:
            _data(await self._call("POST", "/v3/client/ns/instance", form=form))
        else:
            await self._call("POST", "/v1/ns/instance", form)

    async def heartbeat(self, registration: Registration) -> bool:
        """See RegistrarAdapter."""
        generation = await self._detect()
        form = {**self._keys(registration.service, generation), **_endpoint(registration), "ephemeral": "true"}
        if generation == V3:
            body = await self._call("POST", "/v3/client/ns/instance", form={**form, "heartBeat": "true"})
            if body.get("code") == _INSTANCE_NOT_FOUND:
                return False
            _data(body)
            return True
        # Without a beat body the server says 20404 for an unknown instance instead of making one without metadata.
        body = await self._call("PUT", "/v1/ns/instance/beat", form)
        return body.get("code") != _BEAT_NOT_FOUND

    async def deregister(self, registration: Registration) -> None:
        """See RegistrarAdapter."""
        generation = await self._detect()
        form = {**self._keys(registration.service, generation), **_endpoint(registration), "ephemeral": "true"}
        path = "/v3/client/ns/instance" if generation == V3 else "/v1/ns/instance"
        await self._call("DELETE", path, form)

    # --- the wire

    async def _detect(self) -> str:
        """Which API the server speaks: asked once, and again after it said that what we use is gone."""
        if not self._generation:
            probe = self._keys("gateway-probe", V3)
            status, text = await self._exchange("GET", "/v3/client/ns/instance/list", probe, None)
            if status in _GONE or "No static resource" in text or "No endpoint" in text:
                self._generation = V1
            elif status == 200:
                self._generation = V3
            else:
                raise _refusal(status, text)
        return self._generation

    async def _call(
        self, method: str, path: str, params: Mapping[str, str] | None = None, form: Mapping[str, str] | None = None
    ) -> dict[str, Any]:
        """A call's JSON object; plain text (v1 says `ok`) comes as `{"text": …}`. Raises RegistryError."""
        status, text = await self._exchange(method, path, params, form)
        if status in _GONE:
            self._generation = ""
            raise RegistryError(
                "api", f"{method} {path} answers {status}: the API generation has changed, or wrong port"
            )
        if status != 200:
            raise _refusal(status, text)
        try:
            body = json.loads(text)
        except ValueError:
            body = text
        return body if isinstance(body, dict) else {"text": text}

    async def _exchange(
        self, method: str, path: str, params: Mapping[str, str] | None, form: Mapping[str, str] | None
    ) -> tuple[int, str]:
        if self._session is None:
            self._session = ClientSession(timeout=TIMEOUT)
        try:
            async with self._session.request(method, self._base + path, params=params, data=form) as response:
                return response.status, await response.text()
        except TimeoutError as error:
            raise RegistryError("timeout", f"{self._base} did not answer within {TIMEOUT.total:g} s") from error
        except ClientError as error:
            raise RegistryError("unreachable", f"cannot reach {self._base}: {error}") from error
        except ValueError as error:
            raise RegistryError("bad_answer", f"{self._base} answered with no text: {error}") from error

    def _keys(self, service: str, generation: str) -> dict[str, str]:
        keys = {"serviceName": service, "groupName": self._group}
        if self._namespace or generation == V3:
            keys["namespaceId"] = self._namespace or "public"
        return keys


def _endpoint(registration: Registration) -> dict[str, str]:
    return {"ip": registration.host, "port": str(registration.port)}


def _data(body: dict[str, Any]) -> Any:
    """The payload of a v3 answer. Raises RegistryError for an error code."""
    if body.get("code") != _OK:
        raise RegistryError("bad_answer", f"code {body.get('code')}: {body.get('message') or body.get('text')}")
    return body.get("data")


def _refusal(status: int, text: str) -> RegistryError:
    reason = {401: "auth", 403: "auth", 503: "warming"}.get(status, "bad_answer")
    return RegistryError(reason, f"the registry answered {status}: {text[:200].strip()}")


def _instance(record: Any) -> Instance | None:
    """One record of a list; None for one that cannot be an instance, which loses nobody but itself."""
    if not isinstance(record, dict):
        return None
    host, port, weight = record.get("ip"), record.get("port"), record.get("weight", 1.0)
    metadata = record.get("metadata") or {}
    if not isinstance(host, str) or not host or not isinstance(metadata, dict):
        return None
    if not isinstance(port, int) or isinstance(port, bool) or not 0 < port < 65536:
        return None
    if not isinstance(weight, int | float) or not math.isfinite(weight) or weight < 0:
        return None
    texts = {str(key): str(value) for key, value in metadata.items() if value is not None}
    healthy, enabled = record.get("healthy", True) is True, record.get("enabled", True) is True
    return Instance(host, port, tag_of(texts), float(weight), healthy, enabled, texts)
