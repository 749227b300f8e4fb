"""Asking a running gateway's admin API."""

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


def server_options(required: bool) -> Callable[[F], F]:
    """The options `--server` and `--token`."""

    def add(function: F) -> F:
        token = click.option("--token", envvar="GATEWAY_TOKEN", metavar="TOKEN", help="The gateway's `admin_token`.")
        server = click.option(
            "--server",
            required=required,
            metavar="HOST:PORT",
            envvar="GATEWAY_SERVER",
            help="The admin API of a running gateway" + ("." if required else ": ask it instead of files."),
        )
        return server(token(function))

    return add


def ask(
    server: str, method: str, path: str, token: str | None, body: object = None, author: str | None = None
) -> dict[str, Any]:
    """The JSON object that the admin API answers with. Raises GatewayError."""
    address = server if "://" in server else f"http://{server}"
    headers = {"Content-Type": "application/json"}
    if token:
        headers["Authorization"] = f"Bearer {token}"
    if author:
        headers["X-Author"] = author
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(f"{address}{path}", data, headers, method=method)  # noqa: S310
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT) as answer:  # noqa: S310
            found: dict[str, Any] = json.load(answer)
    except urllib.error.HTTPError as error:
        try:
            detail = json.load(error).get("detail", "")
        except ValueError:
            detail = error.reason
        raise GatewayError(f"{server} answers {error.code}: {detail}") from error
    except (OSError, ValueError, RecursionError, HTTPException) as error:
        reason = getattr(error, "reason", error)
        raise GatewayError(f"cannot ask {server}: {reason}; is it a gateway's admin address?") from error
    return found
