"""What an endpoint of the admin API is, and how its handler gets the body of a request."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar

from aiohttp import web
from pydantic import BaseModel

from gateway.admin.bodies import AnyBody, NothingBody
from gateway.admin.lanetext import YAML, read_lane
from gateway.web.bodies import JSON, check_type, read_body
from gateway.web.openapi import Operation, Parameter, plain_path
from gateway.web.work import Work

LANE: Final = JSON | {YAML}
"""A lane, as a file of rules has it or as a program does."""
ANY: Final[frozenset[str]] = frozenset()
NONE: Final = 0
"""Of an endpoint that takes no body: whatever comes is left unread."""
SMALL: Final = 4096
"""Bytes of a body that says nothing: the commands send `{}`."""
WORK: Final = web.AppKey("work", Work)
"""Where an application has the thread that does what takes long."""

H = TypeVar("H")

BodyHandler = Callable[[H, web.Request, Any], Awaitable[web.StreamResponse]]
"""A method of a class of handlers. Its last argument is the JSON value of the body, None if there is no body."""


@dataclass(frozen=True, slots=True)
class Endpoint(Generic[H]):
    """One line of the table: a method and a path, and which method of the handlers `H` serves it."""

    method: str
    path: str
    handler: BodyHandler[H]
    summary: str
    is_free: bool = False
    """Served without a token: probes and scrapers have none."""
    takes_delivery_token: bool = False
    """Served with the token of who delivers records, too."""
    limit: int = NONE
    """Bytes of a body at most."""
    types: Collection[str] = JSON
    """The types of a body that are accepted; empty: any."""
    gives: type[BaseModel] | str = AnyBody
    """The model of the response's JSON, or the media type of a response that is none."""
    status: int = 200
    takes: type[BaseModel] | None = None
    """The model of the body, if it says something."""
    parameters: Sequence[Parameter] = ()
    """Of the query, and headers."""

    def operation(self) -> Operation:
        """Its description."""
        words = plain_path(self.path).removeprefix("/api/v1").replace("{", "").replace("}", "")
        return Operation(
            method=self.method,
            path=self.path,
            name=re.sub(r"\W+", "_", f"{self.method.lower()}{words}"),
            summary=self.summary,
            gives=self.gives,
            status=self.status,
            also={200: "What would be added"} if self.status == 201 else {},
            takes=self.takes or (NothingBody if self.limit and self.method != "GET" else None),
            types=self.types or JSON,
            needs_body=self.takes is not None,
            parameters=self.parameters,
            is_free=self.is_free,
        )

    def route(self, handlers: H) -> web.RouteDef:
        """The route that aiohttp serves it by."""

        async def handle(request: web.Request) -> web.StreamResponse:
            body = None
            if self.limit:
                check_type(request, self.types)
                content = await read_body(request, self.limit)
                work = request.app[WORK]
                is_yaml = YAML in self.types and request.content_type == YAML
                body = await (work.parse(read_lane, content) if is_yaml else work.json(content)) if content else None
            return await self.handler(handlers, request, body)

        # With `web.get` HEAD is served, too.
        return web.get(self.path, handle) if self.method == "GET" else web.route(self.method, self.path, handle)
