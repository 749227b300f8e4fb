"""The match context: what conditions may look at for one request. Made by the caller of the rules, and only then."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gateway.http.request import Request


class MatchContext:
    """A request and what is known around it.

    `client_ip` is the client, as far as it is trusted; `service` is where the request goes; `caller` and `caller_tag` are who
    calls, at a sidecar. `content` is the parsed body, None if it was not read; `claims` are those of the request's token, None
    until they are needed.
    """

    __slots__ = ("_given", "caller", "caller_tag", "claims", "client_ip", "content", "request", "service")

    def __init__(
        self,
        request: Request,
        client_ip: str = "127.0.0.1",
        *,
        service: str = "",
        caller: str = "",
        caller_tag: str = "",
        content: Any = None,
        claims: Mapping[str, Any] | None = None,
    ) -> None:
        self.request = request
        self.client_ip = client_ip
        self.service = service
        self.caller = caller
        self.caller_tag = caller_tag
        self.content = content
        self.claims = claims
        self._given: dict[str, str] | None = None

    def cookie(self, name: str) -> str | None:
        """The first value of a cookie, or None."""
        given = self._given
        if given is not None and name in given:
            return given[name]
        return self.request.cookie(name)

    def give_cookie(self, name: str, value: str) -> None:
        """Lets rules see a cookie that the client is only now given."""
        if self._given is None:
            self._given = {}
        self._given[name] = value
