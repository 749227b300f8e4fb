"""Refusals in the form of RFC 9457."""

from __future__ import annotations

import json
from typing import Any, Final

from aiohttp import web

MOST_SHOWN: Final = 100
"""Letters of a text that are quoted in a response."""


def problem(status: int, code: str, detail: str, **more: Any) -> web.Response:
    """A response that says what went wrong, in ASCII; `more` are further members."""
    body = {"type": f"urn:gray-gateway:error:{code}", "status": status, "code": code, "detail": detail, **more}
    return web.Response(status=status, text=json.dumps(body) + "\n", content_type="application/problem+json")


def problem_of(request: web.Request, error: web.HTTPException) -> web.Response:
    """A refusal of aiohttp's own (no such path, no such method) as a problem."""
    response = problem(error.status, error.reason.lower().replace(" ", "_"), f"{request.method} {request.path}")
    if "Allow" in error.headers:
        response.headers["Allow"] = error.headers["Allow"]
    return response


def unauthorized(detail: str) -> web.Response:
    """401, with the challenge that it must have (RFC 9110 §15.5.2)."""
    response = problem(401, "unauthorized", detail)
    response.headers["WWW-Authenticate"] = "Bearer"
    return response


def shown(text: str) -> str:
    """A text that somebody sent, quoted, and not all of it if it is long."""
    return repr(text if len(text) <= MOST_SHOWN else f"{text[:MOST_SHOWN]}…")


class Rejected(Exception):
    """A request that is not served: the status, code and detail of the response."""

    def __init__(self, status: int, code: str, detail: str) -> None:
        self.status = status
        self.code = code
        self.detail = detail
        super().__init__(f"{status} {code}: {detail}")

    def response(self) -> web.Response:
        """The response."""
        return problem(self.status, self.code, self.detail)
