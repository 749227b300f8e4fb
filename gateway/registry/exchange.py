"""One call to one node of a registry, over aiohttp: loaded with the first call, since a registry may speak gRPC alone."""

from __future__ import annotations

from typing import Any, Final

from aiohttp import ClientError, ClientResponseError, ClientSession, ClientTimeout, TCPConnector

from gateway.errors import RegistryError
from gateway.registry.http import RegistryResponse, Timeout
from gateway.tls.contexts import UpstreamTLS

MAX_BODY: Final = 32 << 20
"""Bytes of a response: 10,000 instances are some 5 MiB."""


class RegistrySession:
    """Kept-alive connections, without a limit: every blocking query holds one."""

    def __init__(self) -> None:
        # Nothing compressed is requested, or unpacked: a response is as large as what was read of it.
        self._session = ClientSession(
            connector=TCPConnector(limit=0), headers={"Accept-Encoding": "identity"}, auto_decompress=False
        )

    async def exchange(
        self, base: str, method: str, path: str, *, timeout: Timeout, tls: UpstreamTLS | None, **options: Any
    ) -> RegistryResponse:
        """A response of `base` (scheme and address). Raises RegistryError."""
        address = base.partition("://")[2]
        patience = ClientTimeout(total=timeout.total, sock_connect=timeout.connect)
        try:
            # No redirect is followed: it would take credentials elsewhere.
            async with self._session.request(
                method,
                base + path,
                timeout=patience,
                allow_redirects=False,
                ssl=True if tls is None else tls.context,
                server_hostname=None if tls is None else tls.server_name or None,
                **options,
            ) as response:
                headers = {name.lower(): value for name, value in response.headers.items()}
                if headers.get("content-encoding", "identity").lower() != "identity":
                    raise RegistryError("bad_response", f"{base} sent a compressed response, which was not requested")
                body = bytearray()
                async for piece in response.content.iter_chunked(65536):
                    body += piece
                    if len(body) > MAX_BODY:
                        message = f"{base} sent a response of more than {MAX_BODY >> 20} MiB"
                        raise RegistryError("bad_response", message)
                return RegistryResponse(response.status, body.decode(response.charset or "utf-8"), headers, address)
        except TimeoutError as error:
            raise RegistryError("timeout", f"{base} did not respond within {timeout.total:g} s") from error
        except ClientResponseError as error:  # whose own text has the whole URL, which may have a token
            raise RegistryError("bad_response", f"{base} does not speak HTTP: {error.message}") from None
        except ClientError as error:
            raise RegistryError("unreachable", f"cannot reach {base}: {error}") from error
        except (ValueError, LookupError) as error:
            raise RegistryError("bad_response", f"{base} sent a response that is not text: {error}") from error

    async def close(self) -> None:
        """Closes the connections."""
        await self._session.close()
