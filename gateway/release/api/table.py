"""What an endpoint of the release API is, and how it is described."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final

from aiohttp import web
from pydantic import BaseModel

from gateway.web.openapi import Operation, Parameter

_NUMBER: Final = {"type": "integer", "minimum": 0}
_TEXT: Final = {"type": "string"}
_MEANINGS: Final = {
    "order": Parameter("order", _NUMBER, "only of this order"),
    "count": Parameter("count", _NUMBER, "how many at most"),
    "after": Parameter("after", _NUMBER, "only those after this one"),
    "offset": Parameter("offset", _NUMBER, "bytes to skip"),
    "app": Parameter("app", _TEXT, "only of this application"),
    "environment": Parameter("environment", _TEXT, "only of this environment"),
}
_AUTHOR: Final = Parameter("X-Author", _TEXT, "who asks, if no token says it", "header")
_IF_MATCH: Final = Parameter("If-Match", _TEXT, "only if the order still has this ETag", "header")


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One endpoint."""

    method: str
    path: str
    name: str
    """Its operationId."""
    summary: str
    handler: Callable[[Any], Awaitable[web.Response]]
    gives: type[BaseModel]
    takes: type[BaseModel] | None = None
    status: int = 200
    query: tuple[str, ...] = ()

    @property
    def route_path(self) -> str:
        """The path as aiohttp takes it."""
        return self.path.replace("{order}", "{order:[0-9]{1,15}}")

    def operation(self) -> Operation:
        """Its description."""
        parameters = [_MEANINGS[name] for name in self.query]
        if self.takes is not None:
            parameters += [_AUTHOR, _IF_MATCH] if "{order}" in self.path else [_AUTHOR]
        return Operation(
            method=self.method,
            path=self.route_path,
            name=self.name,
            summary=self.summary,
            gives=self.gives,
            status=self.status,
            also={200: "What the order would be"} if self.name == "run_order" else {},
            takes=self.takes,
            parameters=parameters,
        )
