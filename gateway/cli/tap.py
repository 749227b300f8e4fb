"""`gateway tap`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import click

from gateway.cli.client import Refused, ask, follow, require, server_options
from gateway.cli.failing import failing
from gateway.cli.output import echo, echo_json, output_option
from gateway.errors import GatewayError
from gateway.shapes import COUNT, FLAG, MOMENT, NUMBER, TEXT, Maybe

PAUSE = 1.0
"""Seconds until the server is tried again after it went away."""
WENT = {
    "service": Maybe(TEXT),
    "pool": TEXT,
    "group": Maybe(TEXT),
    "lane": Maybe(TEXT),
    "tag": TEXT,
    "tag_source": TEXT,
    "fallback": Maybe(TEXT),
    "instance": Maybe(TEXT),
    "lost": Maybe(TEXT),
    "lost_tag?": Maybe(TEXT),
    "signature?": Maybe(TEXT),
    "fault?": Maybe(TEXT),
    "mirror?": Maybe(FLAG),
    "status": COUNT,
    "duration_us": NUMBER,
}
RECORD = {
    **WENT,
    "time": MOMENT,
    "method": TEXT,
    "host": Maybe(TEXT),
    "path": Maybe(TEXT),
    "cause": Maybe(TEXT),
    "grpc_status?": Maybe(TEXT),
    "trace_id": Maybe(TEXT),
}
HOP: dict[str, Any] = {**WENT, "tag_lost": FLAG, "reporter": {"name": TEXT, "role": TEXT}, "calls": [lambda: HOP]}
CHAIN = {"path": [TEXT], "hops": [HOP]}
LATEST = {"requests": [RECORD], "last": COUNT}
EVENTS: dict[str, dict[str, Any]] = {"request": RECORD, "lost": {"count": Maybe(COUNT)}}
"""What each event of the stream says."""


@click.command("tap", short_help="Follow requests as they are served, or show the path of one.")
@click.option("--lane", metavar="LANE", help="Only requests on this lane (`gray` or `demo/gray`).")
@click.option("--service", metavar="NAME", help="Only requests to this service.")
@click.option("--status", metavar="CODE", help="Only responses with this status (`404` or `5xx`).")
@click.option(
    "--grpc-status", metavar="NAME", help="Only gRPC calls that ended so (`UNAVAILABLE`, or `error` for all but OK)."
)
@click.option("--path", metavar="PREFIX", help="Only paths that begin with this.")
@click.option("--fallback/--no-fallback", default=None, help="Only requests that fell back, or that did not.")
@click.option("--last", type=click.IntRange(min=0), default=0, metavar="N", help="Begin with the last N requests.")
@click.option("--chain", metavar="TRACE", help="Show the path of this trace through all services, and exit.")
@server_options(required=True)
@output_option("text")
def command(
    lane: str | None,
    service: str | None,
    status: str | None,
    grpc_status: str | None,
    path: str | None,
    fallback: bool | None,
    last: int,
    chain: str | None,
    server: str,
    token: str | None,
    output: str,
) -> None:
    """Follow the requests of a running gateway or sidecar as they are served, or show the path of one.

    Runs until Ctrl-C, and goes on after the server restarts. -o json prints one object per line. Requests that are not shown,
    because there were too many or the terminal was too slow, are counted on stderr.

    \b
    gateway tap --server 127.0.0.1:9900 --lane gray
    gateway tap --server 127.0.0.1:9900 --status 5xx -o json
    gateway tap --server 127.0.0.1:9900 --chain 4bf92f3577b34da6a3ce929d0e0e4736
    """
    given = {"lane": lane, "service": service, "status": status, "grpc_status": grpc_status, "path": path}
    given["fallback"] = None if fallback is None else str(fallback).lower()
    wanted = {name: value for name, value in given.items() if value}
    with failing(output):
        if chain is not None:
            if wanted or last:
                raise click.UsageError("--chain shows one trace; remove the filters")
            _show_chain(ask(server, "GET", f"/api/v1/chains/{chain}", token, wants=CHAIN), output)
            return
        for name, data in _events(server, token, wanted, last):
            require(server, data, EVENTS.get(name, RECORD))
            if name == "lost":
                count = "some" if data["count"] is None else data["count"]
                echo(f"{count} records are not shown: they were gone before they could be read", err=True)
            elif output == "json":
                echo_json(data, indent=None)
            else:
                echo(_line(data))


def _events(server: str, token: str | None, wanted: Mapping[str, str], last: int) -> Iterator[tuple[str, Any]]:
    """The events of the stream, without end. Raises GatewayError if there is nothing to follow to begin with."""
    import time
    from urllib.parse import urlencode

    cursor, is_first, was_away = "", True, False
    if last:
        found = ask(server, "GET", f"/api/v1/requests?{urlencode({**wanted, 'limit': last})}", token, wants=LATEST)
        cursor = str(found["last"])
        yield from (("request", item) for item in reversed(found["requests"]))
    while True:
        try:
            for number, name, data in follow(server, f"/api/v1/requests/stream?{urlencode(wanted)}", token, cursor):
                cursor, is_first, was_away = number or cursor, False, False
                yield name, data
            is_first = False  # it ended the stream
        except GatewayError as error:
            if is_first or isinstance(error, Refused):
                raise
            if not was_away:
                echo(f"{error}; waiting for it", err=True)
            was_away = True
        time.sleep(PAUSE)


def _line(item: dict[str, Any]) -> str:
    """A request as one line: when, what came of it, what it was, where it went, why, and how long it took."""
    from datetime import datetime

    at = datetime.fromtimestamp(item["time"]).astimezone()
    parts = [
        f"{at:%H:%M:%S}.{at.microsecond // 1000:03d}",
        str(item["status"]) if not item.get("grpc_status") else f"{item['status']} {item['grpc_status']}",
        f"{item['method']} {item['host'] or ''}{item['path']}",
        _went(item),
        f"{item['duration_us'] / 1000:.1f} ms",
    ]
    if item["cause"]:
        parts.append(item["cause"])
    if item["trace_id"]:
        parts.append(item["trace_id"])
    return "  ".join(parts)


def _went(item: dict[str, Any]) -> str:
    """`→ a gray (lane demo/gray) at 127.0.0.1:9002`."""
    if not item["service"]:
        return "→ (no service)"
    pool = "" if item["pool"] == "base" else f" {item['pool']}"
    why = [f"lane {item['group']}/{item['lane']}"] if item["lane"] else []
    if item["tag"] != "base" and not item["lane"]:
        why.append(f"tag {item['tag']} from {item['tag_source']}")
    if item["fallback"]:
        why.append(f"fallback: {item['fallback']}")
    if item["lost"]:
        tag = item.get("lost_tag")
        why.append(f"TAG {tag} LOST: {item['lost']}" if tag else f"TAG LOST: {item['lost']}")
    if item.get("signature", "verified") not in (None, "verified"):
        why.append(f"signature: {item['signature']}")
    if item.get("fault"):
        why.append(f"injected: {item['fault']}")
    if item.get("mirror"):
        why.append("a mirror's copy")
    where = f" at {item['instance']}" if item["instance"] else ""
    reasons = f" ({', '.join(why)})" if why else ""
    return f"→ {item['service']}{pool}{reasons}{where}"


def _show_chain(found: dict[str, Any], output: str) -> None:
    if output == "json":
        echo_json(found)
        return
    for path, hop in zip(found["path"], found["hops"], strict=False):
        echo(path)
        _show_hop(hop, 1)
    if len(found["hops"]) > 1:
        echo("The pieces are not connected: records between them are missing.", err=True)


def _show_hop(hop: dict[str, Any], depth: int) -> None:
    lost = "  TAG LOST" if hop["tag_lost"] else ""
    by = f"{hop['reporter']['name']} " if hop["reporter"]["role"] == "sidecar" else ""
    echo(f"{'  ' * depth}{by}{_went(hop)}  {hop['status']}  {hop['duration_us'] / 1000:.1f} ms{lost}")
    for call in hop["calls"]:
        _show_hop(call, depth + 1)
