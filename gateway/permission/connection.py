"""A connection to an authorization service: one answer to each question, after not too many that say it is still to come.

aiohttp takes whatever comes on a connection that nobody uses for the answer to the next question, which is about somebody else.
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any

from aiohttp import ClientPayloadError, TCPConnector
from aiohttp.client_proto import ResponseHandler

from gateway.http.response import MAX_INTERIM


class Connection(ResponseHandler):
    """Closes when something comes that was not asked for, or when no answer comes but more and more 1xx."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop)
        self._interims = 0
        self._is_answered = True

    def set_response_params(self, **params: Any) -> None:
        """Called before each question."""
        self._interims = 0
        self._is_answered = False
        super().set_response_params(**params)

    def data_received(self, data: bytes) -> None:
        """Takes what came; `data` is empty if it is what was put off before."""
        if data and self._is_answered and (self._payload is None or self._payload.is_eof()):
            self.abort()
        else:
            super().data_received(data)

    def feed_data(self, data: Any, size: int = 0) -> None:
        """Called with each head, and the body that comes after it."""
        if self._is_answered:
            # Behind the end of an answer's body, with which the connection was given back: it may be the next question's already.
            self.abort()
            return
        status = data[0].code
        if status >= 200 or status == 101:
            self._is_answered = True
        else:
            self._interims += 1
        if self._interims <= MAX_INTERIM:
            super().feed_data(data, size)
        elif self.exception() is None:
            self.abort()  # which forgets why
            self.set_exception(ClientPayloadError(f"more than {MAX_INTERIM} interim responses"))


class Connector(TCPConnector):
    """Makes such connections."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        factory: Any = partial(Connection, loop=self._loop)
        self._factory = factory  # there is no other way to say so
