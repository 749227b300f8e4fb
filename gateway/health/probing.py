"""Sends an instance our own request, over aiohttp: loaded if something is to be checked so."""

from __future__ import annotations

from collections.abc import Mapping

from aiohttp import ClientError, ClientSession, ClientTimeout, TCPConnector

from gateway.instance import Instance
from gateway.tls.contexts import UpstreamTLS


def new_session() -> ClientSession:
    """A client for checks. A connection each time: whether one can be made is half of the question."""
    return ClientSession(connector=TCPConnector(limit=0, force_close=True))


async def responds_well(
    session: ClientSession,
    service: str,
    instance: Instance,
    path: str,
    *,
    timeout: float,
    tls: UpstreamTLS | None,
    fields: Mapping[str, str] | None = None,
) -> bool:
    """Whether an instance responds to a GET for `path`, with these fields, with a status below 400 within `timeout` seconds."""
    url = f"{'http' if tls is None else 'https'}://{instance.address}{path}"
    try:
        async with session.get(
            url,
            timeout=ClientTimeout(total=timeout),
            allow_redirects=False,
            headers={"Host": service, "User-Agent": "gateway-check", **(fields or {})},
            ssl=True if tls is None else tls.context,
            server_hostname=None if tls is None else tls.server_name or instance.host,
        ) as response:
            return response.status < 400
    except (ClientError, OSError, TimeoutError, ValueError):
        return False
