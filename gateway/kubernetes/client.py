"""Calls to the API server, on the HTTP client that is there anyway."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Mapping
from typing import Any, Final

from aiohttp import ClientError, ClientPayloadError, ClientResponse, ClientSession, ClientTimeout, TCPConnector

from gateway.kubernetes.access import Access
from gateway.kubernetes.errors import ApiError, from_status, refused

TIMEOUT: Final = ClientTimeout(total=30.0, sock_connect=3.0)
WATCH_SECONDS: Final = 60
"""How long a watch lasts before it is begun again, which costs nothing. A connection that died without a word lasts no longer."""
MAX_BODY: Final = 64 << 20
MAX_EVENT: Final = 8 << 20
"""Bytes of a response, and of one event of a watch. A slice has 1,000 endpoints at most, etcd's objects 1.5 MiB."""
METADATA_LIST: Final = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json"
METADATA: Final = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,application/json"
"""Objects without their specification and state: a tenth of the bytes."""
OPENED: Final = "OPENED"
"""The event that says that a watch has begun."""

Object = dict[str, Any]


class ApiClient:
    """Kept-alive connections to one API server."""

    def __init__(self, access: Access) -> None:
        self.access = access
        self._session: ClientSession | None = None

    async def call(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        body: Any = None,
        content_type: str = "application/json",
        accept: str = "application/json",
    ) -> Object:
        """One call; the object that came back. Raises ApiError."""
        data = None if body is None else json.dumps(body).encode()
        headers = {"Accept": accept, **({} if data is None else {"Content-Type": content_type})}
        what = f"{method} {path}"
        response = await self._request(method, path, params, headers, data, TIMEOUT)
        content = await _content(response, what)
        if response.status >= 400:
            raise refused(response.status, content, what)
        return _object(content, what)

    async def watch(
        self, path: str, params: Mapping[str, str], accept: str = "application/json"
    ) -> AsyncGenerator[tuple[str, Object], None]:
        """The events of a watch (type and object) until it ends, as it does after a while. Raises ApiError.

        The first event is `OPENED`, without an object, as soon as the server has accepted the watch. An `ERROR` event is
        raised: 410 comes as one, in a response whose status is 200.
        """
        what = f"watch {path}"
        timeout = ClientTimeout(total=WATCH_SECONDS + 15, sock_connect=3.0)
        query = {**params, "watch": "true", "allowWatchBookmarks": "true", "timeoutSeconds": str(WATCH_SECONDS)}
        response = await self._request("GET", path, query, {"Accept": accept}, None, timeout)
        try:
            if response.status >= 400:
                raise refused(response.status, await _content(response, what), what)
            yield OPENED, {}
            async for line in _lines(response, what):
                event = _object(line, what)
                kind, found = event.get("type"), event.get("object")
                if not isinstance(kind, str) or not isinstance(found, dict):
                    raise ApiError(200, "BadResponse", f"{what}: an event without a type or an object")
                if kind == "ERROR":
                    raise from_status(found, what)
                yield kind, found
        finally:
            response.close()

    async def _request(
        self,
        method: str,
        path: str,
        params: Mapping[str, str] | None,
        headers: Mapping[str, str],
        data: bytes | None,
        timeout: ClientTimeout,
    ) -> ClientResponse:
        """A request, and once more if it is refused: a token may have been replaced since it was read."""
        response = await self._send(method, path, params, headers, data, timeout)
        if response.status == 401:
            response.close()
            self.access.credentials.forget()
            response = await self._send(method, path, params, headers, data, timeout)
            if response.status == 401:
                self.access.credentials.forget()
        return response

    async def _send(
        self,
        method: str,
        path: str,
        params: Mapping[str, str] | None,
        headers: Mapping[str, str],
        data: bytes | None,
        timeout: ClientTimeout,
    ) -> ClientResponse:
        if self._session is None:
            self._session = ClientSession(
                connector=TCPConnector(limit=0), auto_decompress=False, response_class=_Response
            )
        what = f"{method} {path}"
        said = {**headers, "Accept-Encoding": "identity", **await self.access.credentials.headers()}
        try:
            return await self._session.request(
                method,
                self.access.server + path,
                params=params,
                data=data,
                headers=said,
                timeout=timeout,
                allow_redirects=False,  # it would take the token elsewhere
                ssl=self.access.tls or True,
                server_hostname=self.access.server_name or None,
                proxy=self.access.proxy or None,
            )
        except TimeoutError as error:
            raise ApiError(0, "Timeout", f"{what}: {self.access.server} did not respond in time") from error
        except ClientError as error:
            raise ApiError(0, "Unreachable", f"{what}: cannot reach {self.access.server}: {error}") from error

    async def close(self) -> None:
        """Closes the connections."""
        if self._session is not None:
            await self._session.close()


class _Response(ClientResponse):
    """A response whose connection is cut off if it is closed before its end, also while its head is awaited.

    aiohttp closes it politely and forgets it: over TLS that waits for the server, which may be gone, and has nothing to say.
    """

    def close(self) -> None:
        """See ClientResponse."""
        connection = self.connection
        if connection is not None and connection.transport is not None:
            connection.transport.abort()
        super().close()


async def _content(response: ClientResponse, what: str) -> bytes:
    """All of a response, which is over then: its connection is for others, or cut off if it did not come to its end."""
    content = bytearray()
    try:
        async for piece in response.content.iter_chunked(65536):
            content += piece
            if len(content) > MAX_BODY:
                raise ApiError(response.status, "BadResponse", f"{what}: more than {MAX_BODY >> 20} MiB were returned")
    except TimeoutError as error:
        raise ApiError(0, "Timeout", f"{what}: the response was not complete in time") from error
    except (ClientError, ClientPayloadError) as error:
        raise ApiError(0, "Unreachable", f"{what}: the response was cut off: {error}") from error
    finally:
        response.close()  # does nothing to one that is complete
    return bytes(content)


async def _lines(response: ClientResponse, what: str) -> AsyncGenerator[bytes, None]:
    """Each line of a response. It ends where the response does, or is cut off: a watch may end at any time."""
    rest = bytearray()
    try:
        async for piece in response.content.iter_any():
            start = 0
            while (end := piece.find(b"\n", start)) >= 0:
                line = bytes(rest) + piece[start:end] if rest else piece[start:end]
                rest.clear()
                start = end + 1
                if line.strip():
                    yield line
            rest += piece[start:]
            if len(rest) > MAX_EVENT:
                raise ApiError(200, "BadResponse", f"{what}: an event of more than {MAX_EVENT >> 20} MiB")
    except TimeoutError as error:
        raise ApiError(0, "Timeout", f"{what}: nothing arrived for too long") from error
    except (ClientError, ClientPayloadError) as error:
        raise ApiError(0, "Unreachable", f"{what}: {error}") from error


def _object(content: bytes, what: str) -> Object:
    try:
        found = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise ApiError(200, "BadResponse", f"{what}: the response is not JSON") from error
    if not isinstance(found, dict):
        raise ApiError(200, "BadResponse", f"{what}: the response is not an object")
    return found
