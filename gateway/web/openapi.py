"""The OpenAPI 3.1 description of an API, made from what its table of endpoints says (https://spec.openapis.org/oas/v3.1.1.html)."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from pydantic import BaseModel, JsonValue
from pydantic.json_schema import models_json_schema

from gateway import __version__
from gateway.web.bodies import JSON

Schema = Mapping[str, Any]

_REFERENCE: Final = "#/components/schemas/{model}"
_PLACEHOLDER: Final = re.compile(r"\{(\w+)(?::((?:[^{}]|\{[^{}]*\})*))?\}")


class ProblemBody(BaseModel):
    """What is wrong (RFC 9457)."""

    type: str
    status: int
    code: str
    detail: str
    errors: list[dict[str, JsonValue]] = []
    """Several problems, each with its place."""


@dataclass(frozen=True, slots=True)
class Parameter:
    """One of a query or a header."""

    name: str
    schema: Schema
    meaning: str
    where: str = "query"


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One method of one path. `path` is aiohttp's, with patterns: those of the names in it are described as well.

    `gives` is the model of the response's JSON, or the media type of a response that is none; `also` are further statuses of
    such a response. `types` are the media types of a body that is as `takes` says.
    """

    method: str
    path: str
    name: str
    """Its operationId."""
    summary: str
    gives: type[BaseModel] | str
    status: int = 200
    also: Mapping[int, str] = field(default_factory=dict)
    takes: type[BaseModel] | None = None
    types: Collection[str] = JSON
    needs_body: bool = True
    parameters: Sequence[Parameter] = ()
    is_free: bool = False


def plain_path(path: str) -> str:
    """A path of aiohttp's without patterns: `/a/{id:[0-9]+}` is `/a/{id}`."""
    return _PLACEHOLDER.sub(r"{\1}", path)


def openapi(title: str, operations: Iterable[Operation]) -> dict[str, Any]:
    """The description."""
    table = list(operations)
    models = dict.fromkeys(
        model for item in table for model in (item.takes, item.gives) if isinstance(model, type)
    )  # each once, in order
    modes: Any = [(model, "validation") for model in (*models, ProblemBody)]
    _, definitions = models_json_schema(modes, ref_template=_REFERENCE)
    paths: dict[str, Any] = {}
    for item in table:
        paths.setdefault(plain_path(item.path), {})[item.method.lower()] = _operation(item)
    return {
        "openapi": "3.1.0",
        "info": {"title": title, "version": __version__},
        "paths": paths,
        "components": {
            "schemas": definitions.get("$defs", {}),
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
        # A server without a token asks for none.
        "security": [{}, {"token": []}],
    }


def _operation(item: Operation) -> dict[str, Any]:
    content = _content(item.gives)
    found: dict[str, Any] = {
        "operationId": item.name,
        "summary": item.summary,
        "parameters": [*_path_parameters(item.path), *map(_parameter, item.parameters)],
        "responses": {
            str(status): {"description": description, "content": content}
            for status, description in {item.status: item.summary, **item.also}.items()
        },
    }
    found["responses"]["default"] = {
        "description": "What is wrong",
        "content": {"application/problem+json": {"schema": _schema(ProblemBody)}},
    }
    if item.is_free:
        found["security"] = []
    if item.takes is not None:
        media: dict[str, Any] = {kind: {"schema": _schema(item.takes)} for kind in sorted(item.types)}
        found["requestBody"] = {"required": item.needs_body, "content": media}
    return found


def _content(gives: type[BaseModel] | str) -> dict[str, Any]:
    if isinstance(gives, str):
        return {gives: {"schema": {"type": "string"}}}
    return {"application/json": {"schema": _schema(gives)}}


def _path_parameters(path: str) -> Iterable[dict[str, Any]]:
    for name, pattern in _PLACEHOLDER.findall(path):
        more: dict[str, Any] = {"pattern": f"^{pattern}$"} if pattern else {"minLength": 1}
        yield {"name": name, "in": "path", "required": True, "schema": {"type": "string", **more}}


def _parameter(item: Parameter) -> dict[str, Any]:
    return {
        "name": item.name,
        "in": item.where,
        "required": False,
        "description": item.meaning,
        "schema": dict(item.schema),
    }


def _schema(model: type[BaseModel]) -> dict[str, str]:
    return {"$ref": _REFERENCE.format(model=model.__name__)}
