"""Requests as rules see them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from gateway.http.head_reader import build_request
from gateway.rules.context import MatchContext


def asked(
    method: str,
    url: str,
    headers: Iterable[tuple[str, str]] = (),
    client_ip: str = "127.0.0.1",
    *,
    host: str = "localhost",
    **around: Any,
) -> MatchContext:
    """The match context of a request that a client at an address sends; `around` is what else is known."""
    return MatchContext(build_request(method, url, headers, host=host), client_ip, **around)
