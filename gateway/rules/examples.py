"""Requests that are made up, to show one."""

from __future__ import annotations

import json
from typing import Any, Final
from urllib.parse import quote

from gateway.errors import ProtocolError
from gateway.http.head_reader import build_request
from gateway.rules.context import MatchContext

_PATH: Final = "/%*!$&'()+,;=:@~"
"""What a path may have in it as it is (RFC 3986 §3.3)."""


class RequestParts:
    """The parts of a request, to be filled by sources; decoded, but for the path.

    `plain` may have `method`, `host` and `path`, and `call` what makes it a gRPC call: `service` and `method`. `around` is
    what is known beside the request: `client_ip`, `service`, `caller`, `caller_tag`.
    """

    def __init__(self) -> None:
        self.query: list[tuple[str, str]] = []
        self.headers: list[tuple[str, str]] = []
        self.cookies: list[tuple[str, str]] = []
        self.baggage: list[tuple[str, str]] = []
        self.plain: dict[str, str] = {}
        self.call: dict[str, str] = {}
        self.around: dict[str, str] = {}
        self._content: Any = None
        self._claims: Any = {}

    def put_content(self, pointer: str, value: str) -> None:
        """Puts a value where a JSON pointer finds it in the body."""
        self._content = _put(self._content, pointer, value)

    def put_claim(self, pointer: str, value: str) -> None:
        """Puts a value where a JSON pointer finds it among the claims."""
        self._claims = _put(self._claims, pointer, value)

    def build(self) -> tuple[MatchContext, dict[str, Any]] | None:
        """The match context, and how a person writes it; None if the gateway would refuse the request."""
        query = "&".join(f"{quote(name, safe='')}={quote(value, safe='')}" for name, value in self.query)
        plain = self.plain
        headers = list(self.headers)
        if self.call:
            called = f"/{self.call.get('service', 'shop.Orders')}/{self.call.get('method', 'Get')}"
            plain = {"method": "POST", "path": called, **plain}
            headers.append(("Content-Type", "application/grpc"))
        path = quote(plain.get("path", "/"), safe=_PATH)
        url = f"http://{plain.get('host', 'shop.example')}{path}{'?' + query if query else ''}"
        if self.cookies:
            headers.append(("Cookie", "; ".join(f"{name}={value}" for name, value in self.cookies)))
        if self.baggage:
            headers.append(("Baggage", ",".join(f"{name}={quote(value, safe='')}" for name, value in self.baggage)))
        try:
            request = build_request(plain.get("method", "GET"), url, headers)
        except (ProtocolError, ValueError):
            return None
        around: dict[str, Any] = {"client_ip": "192.0.2.1", **self.around}
        context = MatchContext(request, content=self._content, claims=self._claims, **around)
        shown: dict[str, Any] = {"method": request.method, "url": url, "headers": dict(headers)}
        known = {name: self.around.get(name) for name in ("service", "caller", "caller_tag")}
        extra = {
            "client_ip": self.around.get("client_ip"),
            "body": json.dumps(self._content) if self._content is not None else "",
            "claims": self._claims,
            **known,
        }
        return context, {**shown, **{key: value for key, value in extra.items() if value}}


def _put(content: Any, pointer: str, value: str) -> Any:
    """An object in which a pointer finds a value; lists are written as objects with numbers for keys."""
    root: Any = content if isinstance(content, dict) else {}
    at = root
    parts = [part.replace("~1", "/").replace("~0", "~") for part in pointer.split("/")[1:]]
    for part in parts[:-1]:
        inner = at.get(part)
        if not isinstance(inner, dict):
            inner = at[part] = {}
        at = inner
    at[parts[-1]] = value
    return root
