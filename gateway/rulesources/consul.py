"""Keys of Consul's store as documents. Source: https://developer.hashicorp.com/consul/api-docs/kv."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncGenerator, Mapping

from gateway.errors import RegistryError
from gateway.registry.consul.client import ConsulClient
from gateway.registry.http import RegistryResponse, path_segment, refusal
from gateway.rulesources.documents import ConflictError
from gateway.settings.sources import consul_url


class ConsulDocument:
    """A key of Consul's store, watched by blocking queries."""

    def __init__(self, client: ConsulClient, key: str) -> None:
        self.name = consul_url(client.address, key)
        self._client = client
        self._key = key

    async def watch(self) -> AsyncGenerator[str | None, None]:
        """See RemoteDocument."""
        async for response in self._client.follow(_kv(self._key), {"raw": ""}):
            yield response.text if response.status == 200 else None

    async def read(self) -> str | None:
        """See RemoteDocument."""
        response, _ = await self._client.query(_kv(self._key), {"raw": ""})
        return response.text if response.status == 200 else None

    async def publish(self, text: str, before: str | None) -> None:
        """See RemoteDocument. The write is bound to the index at which the key still was `before`."""
        await _write(self._client, self._key, text, before)

    async def close(self) -> None:
        """Closes the connections."""
        await self._client.close()


class ConsulFolder:
    """The keys below a prefix of Consul's store (it ends with `/`) that end with a suffix, each a document, watched together."""

    def __init__(self, client: ConsulClient, prefix: str, suffixes: tuple[str, ...]) -> None:
        self.name = consul_url(client.address, prefix)
        self._client = client
        self._prefix = prefix
        self._suffixes = suffixes

    async def watch(self) -> AsyncGenerator[Mapping[str, str] | None, None]:
        """Yields the texts by key (without the prefix), then whenever they may have changed; None if there are no keys.

        Raises RegistryError if the server does not respond, or a key's value is not text.
        """
        async for response in self._client.follow(_kv(self._prefix), {"recurse": ""}):
            yield (self._texts(response) or None) if response.status == 200 else None

    def _texts(self, response: RegistryResponse) -> dict[str, str]:
        key = ""
        try:
            texts: dict[str, str] = {}
            for entry in json.loads(response.text):
                key = entry["Key"]
                name = key.removeprefix(self._prefix)
                if name.endswith(self._suffixes):
                    texts[name] = _text(entry)
            return texts
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise RegistryError(
                "bad_response", f"{self.name}: {key or 'the response'} cannot be read: {error}"
            ) from error

    async def publish(self, name: str, text: str | None, before: str | None) -> None:
        """Writes a key's text, or deletes it (None), where it still is `before`. Raises ConflictError, and RegistryError."""
        await _write(self._client, self._prefix + name, text, before)

    async def close(self) -> None:
        """Closes the connections."""
        await self._client.close()


def _kv(key: str) -> str:
    """The path of a key, or of a prefix, which ends with `/`. Raises RegistryError for a key that no path can have."""
    *folders, last = key.split("/")
    return "/".join(["/v1/kv", *map(path_segment, folders), path_segment(last) if last else ""])


def _text(entry: Mapping[str, str | None]) -> str:
    return base64.b64decode(entry["Value"] or "").decode()


async def _write(client: ConsulClient, key: str, text: str | None, before: str | None) -> None:
    """Writes a key, or deletes it (None), where it still is `before`."""
    name = consul_url(client.address, key)
    response = await client.request("GET", _kv(key))
    index, now = 0, None
    if response.status == 200:
        try:
            entry = json.loads(response.text)[0]
            index, now = int(entry["ModifyIndex"]), _text(entry)
        except (ValueError, KeyError, TypeError, IndexError) as error:
            raise refusal(response, name) from error
    elif response.status != 404:
        raise refusal(response, name)
    if now != before:
        raise ConflictError(f"{name}: it was changed in the meantime")
    if text is None and now is None:
        return  # a deletion bound to index 0 is none
    method, data = ("PUT", text.encode()) if text is not None else ("DELETE", None)
    written = await client.request(method, _kv(key), params={"cas": str(index)}, data=data)
    if written.status != 200:
        raise refusal(written, name)
    if written.text.strip() != "true":
        raise ConflictError(f"{name}: it was changed in the meantime")
