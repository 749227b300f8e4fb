"""Documents that a registry keeps: a Nacos config, a key of Consul.

They are watched for changes, and written with a check that nobody else has written meanwhile.
Sources: https://nacos.io/docs/v1/open-api/ and https://nacos.io/docs/v3.0/manual/user/open-api/ (config),
https://developer.hashicorp.com/consul/api-docs/kv, …/features/blocking.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import random
from collections.abc import AsyncIterator
from typing import Any, Protocol
from urllib.parse import quote

from aiohttp import ClientError, ClientSession, ClientTimeout

from gateway.errors import RegistryError

TIMEOUT = ClientTimeout(total=5.0, sock_connect=1.0)
WAIT = 55
"""Seconds that a blocking query of Consul waits for a change; the server adds a sixteenth."""
JITTER = 0.2
"""Share by which a polling interval varies, so that gateways do not ask in step."""


class ConflictError(Exception):
    """Somebody else has written the document meanwhile."""


class RemoteDocument(Protocol):
    """A document on a server."""

    name: str
    """What it is called in logs."""

    def watch(self) -> AsyncIterator[str | None]:
        """Yields the text as it is, then whenever it may have changed; None where there is no document.

        Raises RegistryError where the server gives no answer; watching begins anew then.
        """
        ...

    async def publish(self, text: str, before: str | None) -> None:
        """Writes the text, where the document still is `before`. Raises ConflictError, and RegistryError."""
        ...

    async def close(self) -> None:
        """Closes the connections."""
        ...


class _Http:
    """One server, and what goes wrong with it in our words."""

    def __init__(self, address: str, headers: dict[str, str] | None = None) -> None:
        self._base = f"http://{address}"
        self._headers = headers or {}
        self._session: ClientSession | None = None

    async def call(
        self, method: str, path: str, timeout: ClientTimeout = TIMEOUT, **options: Any
    ) -> tuple[int, str, dict[str, str]]:
        """Status, text and headers of an answer. Raises RegistryError."""
        if self._session is None:
            self._session = ClientSession(headers=self._headers)
        try:
            async with self._session.request(method, self._base + path, timeout=timeout, **options) as response:
                return response.status, await response.text(), {k.lower(): v for k, v in response.headers.items()}
        except TimeoutError as error:
            raise RegistryError("timeout", f"{self._base} did not answer in time") from error
        except ClientError as error:
            raise RegistryError("unreachable", f"cannot reach {self._base}: {error}") from error
        except ValueError as error:
            raise RegistryError("bad_answer", f"{self._base} answered with no text: {error}") from error

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()


class NacosDocument:
    """A Nacos config, over the v1 open API or, where the server has that no more, the v3 client API; by polling."""

    def __init__(self, address: str, data_id: str, group: str, namespace: str, interval: float) -> None:
        self.name = f"nacos:{group}/{data_id}"
        self._http = _Http(address)
        self._data_id = data_id
        self._group = group
        self._namespace = namespace
        self._interval = interval
        self._replaced: str | None = None

    async def watch(self) -> AsyncIterator[str | None]:
        """See RemoteDocument."""
        while True:
            yield await self._fetch()
            await asyncio.sleep(self._interval * random.uniform(1 - JITTER, 1 + JITTER))

    async def _fetch(self) -> str | None:
        keys = {"dataId": self._data_id, "group": self._group}
        if self._namespace:
            keys["tenant"] = self._namespace
        status, text, headers = await self._http.call("GET", "/nacos/v1/cs/configs", params=keys)
        if status == 200:
            # A proxy's friendly page is 200, too: Nacos says what it sends.
            expected = headers.get("content-md5")
            if expected is not None and expected != _md5(text):
                raise RegistryError("bad_answer", f"{self.name}: the text does not have the MD5 that came with it")
            return text
        if status == 404 and "config data not exist" in text:
            return None
        if status not in (404, 405, 410, 501):
            raise _refusal(self.name, status, text)
        return await self._fetch_v3()

    async def _fetch_v3(self) -> str | None:
        keys = {
            "dataId": self._data_id,
            "groupName": self._group,
            "namespaceId": self._namespace or "public",
        }
        status, text, _ = await self._http.call("GET", "/nacos/v3/client/cs/config", params=keys)
        if status not in (200, 404):
            raise _refusal(self.name, status, text)
        try:
            body = json.loads(text)
            if body.get("code") == 20004:
                return None
            return str(body["data"]["content"])
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise RegistryError("bad_answer", f"{self.name}: the server answered {status}: {text[:200]}") from error

    async def publish(self, text: str, before: str | None) -> None:
        """See RemoteDocument. The server compares the MD5 of what it has with that of `before` (`casMd5`).

        Not every server that speaks this API does (r-nacos does not), so that it is asked first what there is. It may
        still answer with what we have replaced: Nacos does for a moment after a write.
        """
        if await self._fetch() not in (before, self._replaced):
            raise ConflictError(f"{self.name}: somebody else has written it meanwhile")
        form = {"dataId": self._data_id, "group": self._group, "content": text, "type": "yaml"}
        if self._namespace:
            form["tenant"] = self._namespace
        headers = {"casMd5": _md5(before)} if before is not None else {}
        status, answer, _ = await self._http.call("POST", "/nacos/v1/cs/configs", data=form, headers=headers)
        if status in (404, 405, 410, 501):
            form["groupName"], form["namespaceId"] = form.pop("group"), form.pop("tenant", "public")
            status, answer, _ = await self._http.call("POST", "/nacos/v3/admin/cs/config", data=form, headers=headers)
        if (status == 200 and answer.strip() in ("true", "")) or '"data":true' in answer.replace(" ", ""):
            self._replaced = before
            return
        if "cas" in answer.lower() or answer.strip() == "false":
            raise ConflictError(f"{self.name}: somebody else has written it meanwhile")
        raise _refusal(self.name, status, answer)

    async def close(self) -> None:
        """Closes the connections."""
        await self._http.close()


class ConsulDocument:
    """A key of Consul's store, watched by blocking queries."""

    def __init__(self, address: str, key: str, token: str | None) -> None:
        self.name = f"consul:{key}"
        self._http = _Http(address, {"X-Consul-Token": token} if token else None)
        self._path = f"/v1/kv/{quote(key)}"
        self._index = 0

    async def watch(self) -> AsyncIterator[str | None]:
        """See RemoteDocument."""
        self._index = 0
        while True:
            parameters = {"raw": "", "index": str(self._index), "wait": f"{WAIT}s"}
            # Without an index the answer comes at once.
            timeout = ClientTimeout(total=WAIT * 17 / 16 + 5, sock_connect=1.0) if self._index else TIMEOUT
            status, text, headers = await self._http.call("GET", self._path, timeout, params=parameters)
            if status not in (200, 404):
                raise _refusal(self.name, status, text)
            index = headers.get("x-consul-index", "")
            if not index.isdigit():
                raise RegistryError("bad_answer", f"{self.name}: an answer without X-Consul-Index: is this Consul?")
            # An index that goes backward means that the server starts anew: so do we. 0 would not wait.
            self._index = max(1, int(index)) if int(index) >= self._index else 0
            yield text if status == 200 else None

    async def publish(self, text: str, before: str | None) -> None:
        """See RemoteDocument. The write is bound to the index at which the key still was `before`."""
        status, answer, _ = await self._http.call("GET", self._path)
        index, now = 0, None
        if status == 200:
            try:
                entry = json.loads(answer)[0]
                index, now = int(entry["ModifyIndex"]), base64.b64decode(entry["Value"] or "").decode()
            except (ValueError, KeyError, TypeError, IndexError) as error:
                raise RegistryError("bad_answer", f"{self.name}: the server answered: {answer[:200]}") from error
        elif status != 404:
            raise _refusal(self.name, status, answer)
        if now != before:
            raise ConflictError(f"{self.name}: somebody else has written it meanwhile")
        status, answer, _ = await self._http.call("PUT", self._path, params={"cas": str(index)}, data=text.encode())
        if status != 200:
            raise _refusal(self.name, status, answer)
        if answer.strip() != "true":
            raise ConflictError(f"{self.name}: somebody else has written it meanwhile")

    async def close(self) -> None:
        """Closes the connections."""
        await self._http.close()


def _md5(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


def _refusal(name: str, status: int, text: str) -> RegistryError:
    reason = {401: "auth", 403: "auth", 503: "warming"}.get(status, "bad_answer")
    return RegistryError(reason, f"{name}: the server answered {status}: {text[:200].strip()}")
