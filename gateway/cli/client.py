"""A client of a running gateway's admin API."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.client import HTTPException
from typing import Any, TypeVar

import click

from gateway.errors import GatewayError
from gateway.shapes import ShapeError, check, parse_json

F = TypeVar("F", bound=Callable[..., Any])

TIMEOUT = 10.0
"""Seconds."""
MAX_RESPONSE = 64 << 20
"""Bytes of a response."""
MAX_LINE = 1 << 20
"""Bytes of a line of a stream."""
SILENCE = 60.0
"""Seconds without anything after which a stream is dead: the server says every 15 that it is alive."""


class Refused(GatewayError):
    """The server is there, and does not want the request: trying again does not help."""


class Away(GatewayError):
    """Nobody is there, or nobody who can respond now: that may be over in a moment."""


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
    wants: Mapping[str, Any],
    what: str = "gateway",
) -> dict[str, Any]:
    """The JSON object that the admin API returns; it has the shape `wants`. `what` is who should respond. Raises GatewayError."""
    headers = {"Content-Type": "application/json"}
    if author:
        headers["X-Author"] = author.encode().decode("latin-1")  # http.client takes bytes in this disguise
    data = None if body is None else json.dumps(body).encode()
    with _trouble(server, what), _open(server, method, path, token, headers, data) as response:
        found = _read(response)
    require(server, found, wants, what)
    return found


def require(server: str, found: Any, wants: Mapping[str, Any], what: str = "gateway") -> None:
    """Raises GatewayError if what a server returned has not the shape `wants`."""
    try:
        check(found, wants)
    except ShapeError as error:
        message = f"the response of {server} is not that of a {what}: {error}; is it the admin address of a {what}?"
        raise GatewayError(message) from error


def ask_text(server: str, path: str, token: str | None) -> str:
    """The text that the admin API returns. Raises GatewayError."""
    with _trouble(server), _open(server, "GET", path, token) as response:
        return str(_content(response).decode())


def follow(server: str, path: str, token: str | None, last: str = "") -> Iterator[tuple[str, str, Any]]:
    """The server-sent events of an endpoint, from after the event `last`: the id, the event's name, and its data.

    Ends when the server ends the stream. Raises Refused if the request makes no sense to the server, and GatewayError if it
    cannot be reached, or nothing comes for so long that it must be gone.
    """
    headers = {"Last-Event-ID": last} if last else {}
    with _trouble(server), _open(server, "GET", path, token, headers, timeout=SILENCE) as response:
        event: dict[str, str] = {}
        while line := response.readline(MAX_LINE):
            name, colon, value = line.decode().rstrip("\r\n").partition(":")
            if name and colon:
                event[name] = value.removeprefix(" ")
            elif not name and not colon:
                if "data" in event:
                    yield event.get("id", ""), event.get("event", "message"), parse_json(event["data"])
                event = {}


@contextmanager
def _trouble(server: str, what: str = "gateway") -> Iterator[None]:
    """Raises GatewayError for what goes wrong inside."""
    try:
        yield
    except urllib.error.HTTPError as error:
        try:
            detail = _read(error).get("detail", "")
        except (OSError, ValueError, RecursionError, HTTPException):
            detail = error.reason
        refusal = f"{server} returned {error.code}: {detail}"
        kind = Refused if 400 <= error.code < 500 else Away if error.code == 503 else GatewayError
        raise kind(refusal) from error
    except (OSError, ValueError, RecursionError, HTTPException) as error:
        reason = getattr(error, "reason", error)
        kind = GatewayError if isinstance(error, ValueError | RecursionError) else Away
        raise kind(f"cannot query {server}: {reason}; is it the admin address of a {what}?") from error


def _open(
    server: str,
    method: str,
    path: str,
    token: str | None,
    headers: Mapping[str, str] | None = None,
    data: bytes | None = None,
    *,
    timeout: float = TIMEOUT,
) -> Any:
    address = server if "://" in server else f"http://{server}"
    given = {**(headers or {}), **({"Authorization": f"Bearer {token}"} if token else {})}
    request = urllib.request.Request(f"{address}{path}", data, given, method=method)  # noqa: S310
    return _opener().open(request, timeout=timeout)


def _content(response: Any) -> bytes:
    content: bytes = response.read(MAX_RESPONSE + 1)
    if len(content) > MAX_RESPONSE:
        raise ValueError(f"the response has more than {MAX_RESPONSE >> 20} MiB")
    return content


def _read(response: Any) -> dict[str, Any]:
    found = parse_json(_content(response))
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
