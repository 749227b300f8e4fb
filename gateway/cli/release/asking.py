"""What the commands that query a release server have in common."""

from __future__ import annotations

import functools
import getpass
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import click

from gateway.cli.client import Away, ask
from gateway.cli.failing import failing
from gateway.cli.output import echo, echo_json
from gateway.cli.release.tree import ORDER, STATE, tree
from gateway.errors import GatewayError
from gateway.shapes import COUNT

F = TypeVar("F", bound=Callable[..., Any])

Ask = Callable[..., dict[str, Any]]
"""Called as `ask(method, path, body, wants=…)`."""


def asks(function: F) -> Callable[..., None]:
    """A command that sends requests: gets `ask`, the options that say whom and as whom, and `output`, `text` or `json`."""

    @click.option(
        "--server", default="127.0.0.1:9910", show_default=True, metavar="HOST:PORT", envvar="GATEWAY_RELEASE_SERVER",
        show_envvar=True, help="The release server.",
    )  # fmt: skip
    @click.option("--token", envvar="GATEWAY_RELEASE_TOKEN", metavar="TOKEN", help="The token of one of its `users`.")
    @click.option(
        "--as", "actor", metavar="NAME", help="Who you are, if the server has no users. [default: your login]"
    )
    @click.option("-o", "--output", type=click.Choice(["text", "json"]), default="text", show_default=True)
    @functools.wraps(function)
    def command(*args: Any, server: str, token: str | None, actor: str | None, output: str, **options: Any) -> None:
        def asking(method: str, path: str, body: object = None, *, wants: Mapping[str, Any]) -> dict[str, Any]:
            who = actor or _login()
            return ask(server, method, path, token, body, who, wants=wants, what="release server")

        with failing(output):
            function(*args, ask=asking, output=output, **options)

    return command


def _login() -> str:
    """Who this is, as the system has it; empty if it does not know."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return ""


def reason_option(function: F) -> F:
    """The option `--reason`."""
    return click.option("--reason", required=True, metavar="TEXT", help="Why; kept in the audit log.")(function)


order_argument = click.argument("order", required=False, type=click.IntRange(1))


def action(name: str, line: str, *options: Callable[[Any], Any], path: str = "") -> click.Command:
    """The command of something that is done to an order; its `options` go into the body as they are called."""

    def act(ask: Ask, output: str, order: int | None, **body: Any) -> None:
        number = find_order(ask, order)
        found = ask("POST", f"/api/v1/orders/{number}/{path or name}", body, wants=ORDER)
        show(found, output)

    function: Any = asks(act)
    for option in (reason_option, *options):
        function = option(function)
    function = order_argument(function)
    function.__doc__ = f"{line}\n\nORDER is the number of an order; left out: the newest that has not ended."
    return click.command(name, short_help=line)(function)


def find_order(ask: Ask, order: int | None) -> int:
    """The number of an order; None: the newest that has not ended, or the newest. Raises GatewayError."""
    if order is not None:
        return order
    found = ask("GET", "/api/v1/orders?count=50", wants={"orders": [{"id": COUNT, "state": STATE}]})["orders"]
    if not found:
        raise GatewayError("there is no order yet")
    active = [item for item in found if item["state"] not in ("SUCCESS", "CANCELED")]
    return int((active or found)[0]["id"])


def look_again(ask: Ask, seen: dict[str, Any]) -> tuple[dict[str, Any], str]:
    """An order as it is now; while the server is away as it was seen last, and why that is. Orders go on without a server."""
    try:
        return ask("GET", f"/api/v1/orders/{seen['id']}", wants=ORDER), ""
    except Away as error:
        return seen, str(error)


def show(order: dict[str, Any], output: str) -> None:
    """Prints an order."""
    if output == "json":
        echo_json(order)
        return
    for line in tree(order):
        echo(line)
