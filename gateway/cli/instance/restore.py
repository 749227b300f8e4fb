"""`gateway instance restore`."""

from __future__ import annotations

from urllib.parse import quote

import click

from gateway.cli.client import server_options
from gateway.cli.output import echo


@click.command("restore", short_help="Bring a drained instance back into traffic.")
@click.argument("service")
@click.argument("address", metavar="HOST:PORT")
@click.option("--author", envvar="USER", metavar="NAME", help="Who does it. [default: $USER]")
@server_options(required=True)
def command(service: str, address: str, author: str | None, server: str, token: str | None) -> None:
    """Bring an instance back that `gateway instance drain` has taken out of traffic.

    \b
    gateway instance restore spring-cloud-a 10.0.0.7:8080 --server 127.0.0.1:9900
    """
    from gateway.cli.client import ask
    from gateway.cli.failing import failing

    with failing():
        path = f"/api/v1/services/{quote(service, safe='')}/instances/{quote(address, safe='')}/restore"
        ask(server, "POST", path, token, {}, author, wants={"drained": [{}]})
    echo(f"{address} gets requests for {service} from {server} again", err=True)
