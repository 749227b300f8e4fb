"""What is read of a request: who sent it, and its body."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aiohttp import web
from pydantic import BaseModel, ValidationError

from gateway.printable import printable
from gateway.web.problems import Rejected
from gateway.web.tokens import bearer, is_token


def actor_of(request: web.Request, users: Mapping[str, str]) -> str:
    """Who asks: the user whose token it is, or, if there are no users, whoever he says that he is; empty: nobody."""
    if not users:
        return printable(request.headers.get("X-Author", "")[:200]).strip()
    token = bearer(request)
    right = [name for name, known in users.items() if is_token(token, known)]
    return right[0] if right else ""


def checked(model: type[BaseModel], body: Any) -> BaseModel:
    """A body as a model. Raises Rejected."""
    if not isinstance(body, dict):
        raise Rejected(400, "bad_request", f"the body is an object: {', '.join(model.model_fields)}")
    try:
        return model.model_validate(body)
    except ValidationError as error:
        said = "; ".join(
            f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors(include_url=False)[:20]
        )
        raise Rejected(422, "bad_request", said) from error
