"""`gateway top`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from gateway.cli.client import ask, ask_text, server_options
from gateway.cli.failing import failing
from gateway.cli.output import echo, echo_json, is_terminal, live_table, output_option, print_table
from gateway.errors import GatewayError
from gateway.shapes import TEXT

if TYPE_CHECKING:
    from gateway.live.rates import Picture, Rate

COLUMNS = ("listener", "service", "tag", "requests/s", "errors", "p95", "in flight")
WANTS = {"services": [{"service": TEXT, "pools": [{"tag": TEXT, "instances": [{"address": TEXT}]}]}]}


@click.command("top", short_help="Show rates, errors and latencies by service and tag, live.")
@click.option(
    "--interval",
    type=click.FloatRange(0.1, 60.0),
    default=2.0,
    show_default=True,
    metavar="SECONDS",
    help="How long is counted for each picture.",
)
@server_options(required=True)
@output_option("table")
def command(interval: float, server: str, token: str | None, output: str) -> None:
    """Show what a running gateway or sidecar serves, by service and tag.

    That is: requests per second, the share of failed requests (5xx, and such of gRPC), the 95th percentile of
    durations, and the connections to instances in use. On a terminal the table is live until Ctrl-C; elsewhere, and
    with -o json, one picture is printed.

    \b
    gateway top --server 127.0.0.1:9900
    """
    import time
    from dataclasses import asdict

    with failing(output):
        before, began = _look(server, token), time.monotonic()
        if output == "json" or not is_terminal():
            time.sleep(interval)
            rates = _since(server, before, _look(server, token), time.monotonic() - began)
            if output == "json":
                echo_json([asdict(rate) for rate in rates])
            else:
                print_table(COLUMNS, list(map(_row, rates)))
            return
        was_away = False
        with live_table(COLUMNS) as show:
            while True:
                time.sleep(interval)
                try:
                    now, ended = _look(server, token), time.monotonic()
                    rates = _since(server, before, now, ended - began)
                except GatewayError as error:
                    if not was_away:
                        echo(f"{error}; waiting for it", err=True)
                    was_away = True
                    continue
                show(list(map(_row, rates)))
                before, began, was_away = now, ended, False


def _look(server: str, token: str | None) -> Picture:
    from gateway.live.rates import Picture

    services = ask(server, "GET", "/api/v1/services", token, wants=WANTS)["services"]
    with _readable(server):
        return Picture(ask_text(server, "/metrics", token), services)


def _since(server: str, before: Picture, now: Picture, seconds: float) -> list[Rate]:
    with _readable(server):
        return now.since(before, seconds)


@contextmanager
def _readable(server: str) -> Iterator[None]:
    """Raises GatewayError for metrics that do not say what ours do: labels that are missing, counts without an end."""
    try:
        yield
    except (ArithmeticError, LookupError, TypeError, ValueError) as error:
        raise GatewayError(
            f"the metrics of {server} cannot be read: {error}; is it the admin address of a gateway?"
        ) from error


def _row(item: Rate) -> list[str]:
    late = "" if item.p95 is None else f"{item.p95 * 1000:.0f} ms" if item.p95 >= 0.01 else f"{item.p95 * 1000:.1f} ms"
    errors = f"{item.errors * 100:.1f} %" if item.errors else "0"
    return [item.listener, item.service, item.tag, f"{item.rate:.1f}", errors, late, str(item.in_flight)]
