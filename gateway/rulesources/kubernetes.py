"""A ConfigMap as a folder of documents: each of its keys that can be a file of rules is one.

https://kubernetes.io/docs/concepts/configuration/configmap/
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping
from typing import Any, Final

from gateway.errors import RegistryError
from gateway.kubernetes.client import ApiClient, Object
from gateway.kubernetes.collection import Collection
from gateway.kubernetes.errors import ApiError
from gateway.registry.kubernetes.failures import registry_error
from gateway.rulesources.documents import ConflictError
from gateway.settings.sources import config_map_url

NEEDED: Final = "get, list and watch of the configmap, and patch to change it,"
"""What an account has to be allowed."""


class ConfigMapFolder:
    """The keys of a ConfigMap that end with a suffix, watched, and written bound to the version that was read."""

    def __init__(self, client: ApiClient, namespace: str, name: str, suffixes: tuple[str, ...]) -> None:
        """`namespace`: empty for that of the client's access."""
        self.name = config_map_url(namespace, name)
        self._client = client
        self._maps = f"/api/v1/namespaces/{namespace or client.access.namespace}/configmaps"
        self._called = name
        self._suffixes = suffixes

    async def watch(self) -> AsyncGenerator[Mapping[str, str] | None, None]:
        """Yields the texts by key, then whenever they may have changed; None if there is no ConfigMap, or no such key in it.

        Raises RegistryError if the server does not say.
        """
        changed = asyncio.Event()
        # By its name: an account may be allowed to watch this one alone.
        collection = Collection(
            self._client,
            self._maps,
            lambda _: changed.set(),
            keep=self._texts,
            fields=f"metadata.name={self._called}",
        )
        try:
            while True:
                changed.clear()
                try:
                    await collection.settled()
                except ApiError as error:
                    raise registry_error(error, NEEDED) from error
                yield next(iter(collection.objects.values()), None) or None
                await changed.wait()
        finally:
            await collection.close()

    def _texts(self, item: Object) -> dict[str, str]:
        return {key: text for key, text in _data(item).items() if key.endswith(self._suffixes)}

    async def publish(self, name: str, text: str | None, before: str | None) -> None:
        """Writes a key's text, or deletes it (None), if it still is `before`. Raises ConflictError, and RegistryError."""
        try:
            await self._publish(name, text, before)
        except ApiError as error:
            if error.status == 409:  # between our reading and our writing, or both made it
                raise self._conflict(name) from error
            raise registry_error(error, NEEDED) from error

    async def _publish(self, name: str, text: str | None, before: str | None) -> None:
        try:
            found = await self._client.call("GET", f"{self._maps}/{self._called}")
        except ApiError as error:
            if error.status != 404:
                raise
            if before is not None:
                raise self._conflict(name) from error
            if text is not None:
                body = {"metadata": {"name": self._called}, "data": {name: text}}
                await self._client.call("POST", self._maps, body={"apiVersion": "v1", "kind": "ConfigMap", **body})
            return
        if _data(found).get(name) != before:
            raise self._conflict(name)
        metadata = found.get("metadata")
        version = metadata.get("resourceVersion") if isinstance(metadata, dict) else None
        if not isinstance(version, str):
            raise RegistryError("bad_response", f"{self.name}: a ConfigMap without a resource version")
        patch = {"metadata": {"resourceVersion": version}, "data": {name: text}}  # RFC 7386: null deletes a key
        await self._client.call(
            "PATCH", f"{self._maps}/{self._called}", body=patch, content_type="application/merge-patch+json"
        )

    def _conflict(self, name: str) -> ConflictError:
        return ConflictError(f"{self.name}{name}: it was changed in the meantime")

    async def close(self) -> None:
        """Closes the connections."""
        await self._client.close()


def _data(item: Object) -> dict[str, str]:
    data: Any = item.get("data")
    pairs = data.items() if isinstance(data, dict) else ()
    return {key: text for key, text in pairs if isinstance(text, str)}
