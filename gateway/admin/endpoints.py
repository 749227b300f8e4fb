"""How a handler of the admin API gets the body of a request."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection
from typing import Any, Final

from aiohttp import web
from aiohttp.typedefs import Handler

from gateway.web.bodies import check_type, read_body
from gateway.web.work import Work

JSON: Final = frozenset({"application/json"})
ANY: Final[frozenset[str]] = frozenset()
SMALL: Final = 4096
"""Bytes of a body that says nothing: the commands send `{}`."""

BodyHandler = Callable[[web.Request, Any], Awaitable[web.Response]]
"""Its second argument is the JSON value of the body, None where there is no body."""


def taking(work: Work, handler: BodyHandler, limit: int = SMALL, types: Collection[str] = JSON) -> Handler:
    """A handler for aiohttp: a body has one of these types and `limit` bytes at most, and is parsed."""

    async def handle(request: web.Request) -> web.Response:
        check_type(request, types)
        content = await read_body(request, limit)
        return await handler(request, await work.json(content) if content else None)

    return handle
