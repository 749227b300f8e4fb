"""A Nacos config as a document.

Sources: https://nacos.io/docs/v1/open-api/ and https://nacos.io/docs/v3.0/manual/user/open-api/ (config).
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import random
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import TYPE_CHECKING, Final

from gateway.errors import RegistryError
from gateway.registry.http import Timeout, refusal
from gateway.registry.nacos.client import GONE, NacosClient
from gateway.registry.nacos.messages import JSON, NOT_FOUND, ResponseError
from gateway.rulesources.documents import ConflictError
from gateway.settings.sources import nacos_url

if TYPE_CHECKING:
    from gateway.registry.nacos.rpc import Connection

JITTER: Final = 0.2
"""Share by which a polling interval varies, so that gateways do not query in step."""
LONG_POLL: Final = 30.0
"""Seconds that Nacos may hold back its response to a request to wait for a change (its own clients' value)."""
_LISTENING: Final = Timeout(LONG_POLL * 1.5)
SETTLING: Final = 5.0
"""Seconds within which what was written has to be there to be read: Nacos takes about one."""
_LOOK_AGAIN: Final = 0.1


class NacosDocument:
    """A Nacos config: pushed over gRPC; or v1's long poll; or the v3 client API, asked every `interval` seconds."""

    def __init__(self, client: NacosClient, data_id: str, group: str, namespace: str, interval: float) -> None:
        self.name = nacos_url(client.addresses[0], namespace, group, data_id)
        self._client = client
        self._data_id = data_id
        self._group = group
        self._namespace = namespace
        self._interval = interval
        self._can_listen = True

    async def watch(self) -> AsyncGenerator[str | None, None]:
        """See RemoteDocument."""
        before: str | None = None
        while True:
            if await self._client.speaks_grpc():
                async with aclosing(self._told()) as texts:
                    async for text in texts:
                        yield text
            try:
                text = await self.read()
            except RegistryError:
                self._client.try_grpc_again()
                raise
            is_news, before = text != before, text
            yield text
            # Whatever a server calls changed, nothing new is asked for more often than this.
            if not is_news or not self._can_listen:
                await asyncio.sleep(self._interval * random.uniform(1 - JITTER, 1 + JITTER))
            if self._can_listen:
                await self._listen(text)

    async def _told(self) -> AsyncGenerator[str | None, None]:
        """The text at once, then whenever the server says that it has changed. Raises RegistryError."""
        rpc = self._client.rpc
        changed = asyncio.Event()
        config = {"dataId": self._data_id, "group": self._group, "tenant": self._namespace}

        def told(body: JSON) -> None:
            if body.get("dataId") == self._data_id and body.get("group") == self._group:
                changed.set()

        rpc.pushed["ConfigChangeNotifyRequest"] = told
        connection = await rpc.connection()
        before: str | None = None
        while True:
            changed.clear()
            # Before it is read: a change in between is told of. It is read over the same connection, from the same server.
            await rpc.request(
                connection,
                "ConfigBatchListenRequest",
                {"listen": True, "configListenContexts": [{**config, "md5": ""}]},
            )
            text = await self._query(connection, config)
            is_news, before = text != before, text
            yield text
            if not is_news:
                await asyncio.sleep(self._interval * random.uniform(1 - JITTER, 1 + JITTER))
            await connection.wait_first(changed, LONG_POLL)

    async def _query(self, connection: Connection, config: JSON) -> str | None:
        try:
            response = await self._client.rpc.request(connection, "ConfigQueryRequest", config)
        except ResponseError as error:
            if error.code == NOT_FOUND:
                return None
            raise
        text = response.get("content")
        if not isinstance(text, str) or response.get("md5") not in (None, "", _md5(text)):
            raise RegistryError("bad_response", f"{self.name}: the text does not have the MD5 that came with it")
        return text

    async def _listen(self, text: str | None) -> None:
        """Waits until the server says that the text has changed, or that it has waited long enough."""
        words = [self._data_id, self._group, _md5(text) if text is not None else ""]
        listening = "\x02".join([*words, self._namespace] if self._namespace else words) + "\x01"
        response = await self._client.exchange(
            "POST",
            "/nacos/v1/cs/configs/listener",
            headers={"Long-Pulling-Timeout": str(int(LONG_POLL * 1000))},
            data={"Listening-Configs": listening},
            timeout=_LISTENING,
        )
        if response.status in GONE:
            self._can_listen = False
        elif response.status != 200:
            raise refusal(response, self.name)

    async def read(self) -> str | None:
        """See RemoteDocument."""
        keys = {"dataId": self._data_id, "group": self._group}
        if self._namespace:
            keys["tenant"] = self._namespace
        response = await self._client.exchange("GET", "/nacos/v1/cs/configs", params=keys)
        if response.status == 200:
            # A proxy's friendly page is 200, too: Nacos says what it sends.
            expected = response.headers.get("content-md5")
            if expected is not None and expected != _md5(response.text):
                raise RegistryError("bad_response", f"{self.name}: the text does not have the MD5 that came with it")
            return response.text
        if response.status == 404 and "config data not exist" in response.text:
            return None
        if response.status not in GONE:
            raise refusal(response, self.name)
        return await self._read_v3()

    async def _read_v3(self) -> str | None:
        keys = {
            "dataId": self._data_id,
            "groupName": self._group,
            "namespaceId": self._namespace or "public",
        }
        response = await self._client.exchange("GET", "/nacos/v3/client/cs/config", params=keys)
        if response.status not in (200, 404):
            raise refusal(response, self.name)
        try:
            body = json.loads(response.text)
            if body.get("code") == 20004:
                return None
            content = body["data"]["content"]
            if not isinstance(content, str):
                raise TypeError("the content is not text")
            return content
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise refusal(response, self.name) from error

    async def publish(self, text: str, before: str | None) -> None:
        """See RemoteDocument. The server compares the MD5 of what it has with that of `before` (`casMd5`).

        Not every server that speaks this API does (r-nacos does not), so that what is there is queried first.
        """
        if await self.read() != before:
            raise ConflictError(f"{self.name}: it was changed in the meantime")
        form = {"dataId": self._data_id, "group": self._group, "content": text, "type": "yaml"}
        if self._namespace:
            form["tenant"] = self._namespace
        headers = {"casMd5": _md5(before)} if before is not None else {}
        response = await self._client.exchange("POST", "/nacos/v1/cs/configs", data=form, headers=headers)
        if response.status in GONE:
            form["groupName"], form["namespaceId"] = form.pop("group"), form.pop("tenant", "public")
            response = await self._client.exchange("POST", "/nacos/v3/admin/cs/config", data=form, headers=headers)
        said = response.text.strip()
        if (response.status == 200 and said in ("true", "")) or '"data":true' in said.replace(" ", ""):
            await self._settled(text, before)
            return
        if "cas" in said.lower() or said == "false":
            raise ConflictError(f"{self.name}: it was changed in the meantime")
        raise refusal(response, self.name)

    async def _settled(self, text: str, before: str | None) -> None:
        """Waits until the server returns what was written, or with what somebody has written since."""
        clock = asyncio.get_running_loop().time
        deadline = clock() + SETTLING
        while (found := await self.read()) == before and found != text:
            if clock() > deadline:
                message = f"{self.name}: the server accepted the text but does not have it {SETTLING:g} s later"
                raise RegistryError("bad_response", message)
            await asyncio.sleep(_LOOK_AGAIN)

    async def close(self) -> None:
        """Closes the connections."""
        await self._client.close()


def _md5(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()
