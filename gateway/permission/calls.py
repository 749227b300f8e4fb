"""HTTP to authorization services, over connections that are kept."""

from __future__ import annotations

from typing import Final

from aiohttp import ClientSession, ClientTimeout, DummyCookieJar

from gateway.permission.connection import Connector

MOST: Final = 1024
"""Questions that are under way at a time, of one process."""
MOST_CONNECTIONS: Final = 256
MAX_LINE: Final = 8190
IDLE: Final = 30.0
"""Seconds that a connection is kept for the next question."""


class Calls:
    """Of one process. No cookie of one client's answer goes along with another's question."""

    def __init__(self) -> None:
        self._session: ClientSession | None = None
        self.under_way = 0

    @property
    def session(self) -> ClientSession:
        """What calls, made when there is a loop."""
        if self._session is None:
            self._session = ClientSession(
                connector=Connector(limit=MOST_CONNECTIONS, keepalive_timeout=IDLE),
                cookie_jar=DummyCookieJar(),
                auto_decompress=False,
                timeout=ClientTimeout(total=None),
                max_line_size=MAX_LINE,
                max_field_size=MAX_LINE,
            )
        return self._session

    async def close(self) -> None:
        """Closes the connections."""
        if self._session is not None:
            await self._session.close()
