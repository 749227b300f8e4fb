"""Responses that the gateway gives itself."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus


class RouteResponse:
    """A response that needs no service. `whole` is what an HTTP/1.1 client that keeps its connection gets."""

    __slots__ = ("body", "head", "status", "whole")

    def __init__(self, status: int, body: bytes, headers: Mapping[str, str]) -> None:
        self.status = status
        try:
            phrase = HTTPStatus(status).phrase
        except ValueError:
            phrase = ""
        lines = [f"HTTP/1.1 {status} {phrase}", *(f"{name}: {value}" for name, value in headers.items())]
        # RFC 9110 §8.6, §15.3.5: 204 has no length; 304 has none of its own.
        if status not in (204, 304):
            lines.append(f"Content-Length: {len(body)}")
        self.head: bytes = "\r\n".join([*lines, ""]).encode("latin-1")
        self.body: bytes = b"" if status in (204, 304) else body
        self.whole: bytes = self.head + b"\r\n" + self.body
