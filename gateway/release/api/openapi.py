"""The OpenAPI 3.1 page, made from the table of endpoints and their models."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from aiohttp import web
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from gateway import __version__
from gateway.release.api.bodies import ProblemBody

_REFERENCE = "#/components/schemas/{model}"
_INTEGERS = {"order", "count", "after", "offset"}


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


def openapi(table: Sequence[Endpoint]) -> dict[str, Any]:
    """The page."""
    models = list(dict.fromkeys(model for item in table for model in (item.takes, item.gives) if model is not None))
    modes: Any = [(model, "validation") for model in [*models, ProblemBody]]
    _, definitions = models_json_schema(modes, ref_template=_REFERENCE)
    paths: dict[str, Any] = {}
    for item in table:
        paths.setdefault(item.path, {})[item.method.lower()] = _operation(item)
    return {
        "openapi": "3.1.0",
        "info": {"title": "gray-gateway release server", "version": __version__},
        "paths": paths,
        "components": {
            "schemas": definitions.get("$defs", {}),
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
        "security": [{}, {"token": []}],
    }


def _operation(item: Endpoint) -> dict[str, Any]:
    parameters = [_parameter(name, "path") for name in re.findall(r"\{(\w+)\}", item.path)]
    parameters += [_parameter(name, "query") for name in item.query]
    if item.takes is not None:
        parameters.append({"name": "X-Author", "in": "header", "required": False, "schema": {"type": "string"}})
        if "{order}" in item.path:
            parameters.append({"name": "If-Match", "in": "header", "required": False, "schema": {"type": "string"}})
    content = {"application/json": {"schema": _schema(item.gives)}}
    found: dict[str, Any] = {
        "operationId": item.name,
        "summary": item.summary,
        "parameters": parameters,
        "responses": {
            str(item.status): {"description": item.summary, "content": content},
            "default": {
                "description": "What is wrong",
                "content": {"application/problem+json": {"schema": _schema(ProblemBody)}},
            },
        },
    }
    if item.name == "run_order":
        found["responses"]["200"] = {"description": "What the order would be", "content": content}
    if item.takes is not None:
        found["requestBody"] = {"required": True, "content": {"application/json": {"schema": _schema(item.takes)}}}
    return found


def _parameter(name: str, where: str) -> dict[str, Any]:
    kind = {"type": "integer", "minimum": 0} if name in _INTEGERS else {"type": "string"}
    return {"name": name, "in": where, "required": where == "path", "schema": kind}


def _schema(model: type[BaseModel]) -> dict[str, str]:
    return {"$ref": _REFERENCE.format(model=model.__name__)}
