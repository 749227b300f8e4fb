"""Calls to a Consul agent, and waiting for changes by its blocking queries."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping
from typing import Any, Final

from gateway.errors import RegistryError
from gateway.registry.http import TIMEOUT, RegistryHttp, RegistryResponse, Timeout, refusal
from gateway.tls.contexts import UpstreamTLS

WAIT: Final = 55
"""Seconds that a blocking query waits for a change; the server adds up to a sixteenth."""
LONG: Final = Timeout(WAIT * 17 / 16 + 5)
BURST: Final = 3
"""Responses that may follow one another at once …"""
PACE: Final = 0.25
"""… before there have to be so many seconds between them: an index that changes all the time must not spin."""


class ConsulClient:
    """Requests to one agent. `scope` is sent with every query: `dc`, `ns`. All methods raise RegistryError."""

    def __init__(
        self,
        address: str,
        token: str = "",
        *,
        scope: Mapping[str, str] | None = None,
        is_stale: bool = True,
        scheme: str = "http",
        tls: UpstreamTLS | None = None,
    ) -> None:
        self.address = address
        self._http = RegistryHttp([address], scheme=scheme, tls=tls)
        self._headers = {"X-Consul-Token": token} if token else {}
        self._scope = dict(scope or {})
        self.namespace = {key: value for key, value in self._scope.items() if key == "ns"}
        """What of the scope concerns an agent's own services, too."""
        self._is_stale = is_stale

    def trust(self, tls: UpstreamTLS | None) -> None:
        """Connects on these terms from now on."""
        self._http.trust(tls)

    async def request(self, method: str, path: str, *, timeout: Timeout = TIMEOUT, **options: Any) -> RegistryResponse:
        """A plain response, whatever its status."""
        headers = {**self._headers, **(options.pop("headers", None) or {})}
        return await self._http.call(method, path, timeout=timeout, headers=headers, **options)

    async def query(
        self, path: str, params: Mapping[str, str] | None = None, index: int = 0
    ) -> tuple[RegistryResponse, int]:
        """The response to a query, and its index. With an index it waits for a change."""
        asked = {**self._scope, **(params or {})}
        if self._is_stale:
            asked["stale"] = ""  # survives the loss of a leader
        if index:
            asked |= {"index": str(index), "wait": f"{WAIT}s"}
        response = await self.request("GET", path, timeout=LONG if index else TIMEOUT, params=asked)
        if response.status not in (200, 404):
            raise _refused(response, path)
        headers = response.headers
        if headers.get("x-consul-results-filtered-by-acls") == "true":
            raise RegistryError(
                "auth", f"{path}: the token does not allow reading everything (service:read and node:read are needed)"
            )
        # Without a leader what is known may be old, which is what `stale` is for; that there is nothing may be wrong.
        if headers.get("x-consul-knownleader") == "false" and not (self._is_stale and _has_something(response)):
            raise RegistryError("warming", f"{path}: Consul has no leader")
        text = headers.get("x-consul-index", "")
        if not text.isdigit():
            raise RegistryError("bad_response", f"{path}: a response without X-Consul-Index: is this Consul?")
        return response, max(1, int(text))

    async def follow(
        self, path: str, params: Mapping[str, str] | None = None
    ) -> AsyncGenerator[RegistryResponse, None]:
        """The response to a query at once, then whenever it may have changed."""
        index = 0
        pace = Pace()
        while True:
            response, now = await self.query(path, params, index)
            # An index that goes backward means that the server starts over: so do we.
            index = now if now >= index else 0
            yield response
            await pace.wait()

    async def close(self) -> None:
        """Closes the connections."""
        await self._http.close()


class Pace:
    """A bucket of `BURST` tokens, one more every `PACE` seconds."""

    def __init__(self) -> None:
        self._tokens = float(BURST)
        self._at = asyncio.get_running_loop().time()

    async def wait(self) -> None:
        """Takes a token, as soon as there is one."""
        now = asyncio.get_running_loop().time()
        self._tokens = min(BURST, self._tokens + (now - self._at) / PACE)
        self._at = now
        self._tokens -= 1
        if self._tokens < 0:
            await asyncio.sleep(-self._tokens * PACE)


def _has_something(response: RegistryResponse) -> bool:
    return response.status == 200 and response.text.strip() not in ("[]", "{}", "null", "")


def _refused(response: RegistryResponse, path: str) -> RegistryError:
    if response.status == 429:
        message = f"{path}: the agent accepts no more connections from this host (limits.http_max_conns_per_client)"
        return RegistryError("connections", message)
    if response.status == 500 and ("No cluster leader" in response.text or "rpc error" in response.text):
        return RegistryError("warming", f"{path}: {response.text[:200].strip()}")
    return refusal(response, path)
