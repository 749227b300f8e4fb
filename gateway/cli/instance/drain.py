"""`gateway instance drain`."""

from __future__ import annotations

from urllib.parse import quote

import click

from gateway.cli.client import server_options
from gateway.cli.output import echo


@click.command("drain", short_help="Send no new requests to an instance until it is brought back.")
@click.argument("service")
@click.argument("address", metavar="HOST:PORT")
@click.option("--reason", default="", metavar="TEXT", help="Why, for the status and the log.")
@click.option("--author", envvar="USER", metavar="NAME", help="Who does it. [default: $USER]")
@server_options(required=True)
def command(service: str, address: str, reason: str, author: str | None, server: str, token: str | None) -> None:
    """Have a running gateway or sidecar send no new requests to an instance. Those in flight are finished.

    \b
    gateway instance drain spring-cloud-a 10.0.0.7:8080 --reason 'a new disk' --server 127.0.0.1:9900

    It lasts until `gateway instance restore`. It holds for this gateway or sidecar alone: to take an instance out of all
    traffic, disable it in its registry.
    """
    from gateway.cli.client import ask
    from gateway.cli.failing import failing

    with failing():
        path = f"/api/v1/services/{quote(service, safe='')}/instances/{quote(address, safe='')}/drain"
        ask(server, "POST", path, token, {"reason": reason}, author, wants={"drained": [{}]})
    echo(f"{address} gets no new requests for {service} from {server}", err=True)
