"""A client of a running gateway's admin API."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Callable
from http.client import HTTPException
from typing import Any, TypeVar

import click

from gateway.errors import GatewayError

F = TypeVar("F", bound=Callable[..., Any])

TIMEOUT = 10.0
"""Seconds."""
MAX_RESPONSE = 64 << 20
"""Bytes of a response."""


class Away(GatewayError):
    """Nobody is there, or nobody who can say it now: that may be over in a moment."""


def server_options(required: bool) -> Callable[[F], F]:
    """The options `--server` and `--token`."""

    def add(function: F) -> F:
        token = click.option("--token", envvar="GATEWAY_TOKEN", metavar="TOKEN", help="The gateway's `admin_token`.")
        server = click.option(
            "--server",
            required=required,
            metavar="HOST:PORT",
            envvar="GATEWAY_SERVER",
            help="Admin address of a running gateway" + ("." if required else ", to query instead of reading files."),
        )
        return server(token(function))

    return add


def ask(
    server: str,
    method: str,
    path: str,
    token: str | None,
    body: object = None,
    author: str | None = None,
    *,
    wants: str,
    what: str = "gateway",
) -> dict[str, Any]:
    """The JSON object that the admin API returns; it has a member `wants`. `what` names the request. Raises GatewayError."""
    address = server if "://" in server else f"http://{server}"
    headers = {"Content-Type": "application/json"}
    if token:
        headers["Authorization"] = f"Bearer {token}"
    if author:
        headers["X-Author"] = author.encode().decode("latin-1")  # http.client takes bytes in this disguise
    data = None if body is None else json.dumps(body).encode()
    try:
        request = urllib.request.Request(f"{address}{path}", data, headers, method=method)  # noqa: S310
        with _opener().open(request, timeout=TIMEOUT) as response:
            found = _read(response)
    except urllib.error.HTTPError as error:
        try:
            detail = _read(error).get("detail", "")
        except (OSError, ValueError, RecursionError, HTTPException):
            detail = error.reason
        kind = Away if error.code == 503 else GatewayError
        raise kind(f"{server} returned {error.code}: {detail}") from error
    except (OSError, ValueError, RecursionError, HTTPException) as error:
        reason = getattr(error, "reason", error)
        kind = GatewayError if isinstance(error, (ValueError, RecursionError)) else Away
        raise kind(f"cannot query {server}: {reason}; is it the admin address of a {what}?") from error
    if wants not in found:
        raise GatewayError(f"the response of {server} is not that of a {what}; is it the admin address of a {what}?")
    return found


def _read(response: Any) -> dict[str, Any]:
    content = response.read(MAX_RESPONSE + 1)
    if len(content) > MAX_RESPONSE:
        raise ValueError(f"the response has more than {MAX_RESPONSE >> 20} MiB")
    found = json.loads(content)
    if not isinstance(found, dict):
        raise ValueError("the response is not a JSON object")  # noqa: TRY004 - it is what was read, not what was given
    return found


def _opener() -> urllib.request.OpenerDirector:
    """Plain HTTP(S), directly to the server: neither a proxy from the environment nor a redirect gets the token."""
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.HTTPHandler,
        urllib.request.HTTPSHandler,
        urllib.request.HTTPDefaultErrorHandler,
        urllib.request.HTTPErrorProcessor,
        urllib.request.UnknownHandler,
    ):
        opener.add_handler(handler())
    return opener
