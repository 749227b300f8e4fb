"""`gateway explain`."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import click

from gateway.cli.client import ask, server_options
from gateway.cli.failing import failing
from gateway.cli.fields import header_pair
from gateway.cli.output import echo, echo_json, output_option, print_table
from gateway.errors import GatewayError, ProtocolError
from gateway.shapes import COUNT, FLAG, NUMBER, TEXT, Each, Maybe
from gateway.tags import BASE

CONDITION: dict[str, Any] = {
    "text": TEXT,
    "value": Maybe(TEXT),
    "held": FLAG,
    "bucket": Maybe(COUNT),
    "share": [TEXT],
    "kept": FLAG,
    "members": [lambda: CONDITION],
}
DECISION = {
    "route": Maybe(TEXT),
    "service": Maybe(TEXT),
    "group": Maybe(TEXT),
    "lane": Maybe(TEXT),
    "tag": TEXT,
    "tag_source": TEXT,
    "pool": TEXT,
    "fallback": Maybe(TEXT),
    "instance": Maybe(TEXT),
    "revision": COUNT,
    "chosen_by?": Maybe(TEXT),
    "rules?": Maybe(TEXT),
    "unknown_rules?": Maybe(TEXT),
    "signature?": Maybe(TEXT),
    "error": Maybe(TEXT),
    "detail": Maybe(TEXT),
}
ROUTE = {
    "source": TEXT,
    "host": Maybe(TEXT),
    "path": TEXT,
    "exact": FLAG,
    "match": [TEXT],
    "asked": [TEXT],
    "compress": Maybe(TEXT),
    "backends": [{"service": Maybe(TEXT), "tag": Maybe(TEXT), "weight": COUNT, "problem": Maybe(TEXT)}],
    "patience?": Each(NUMBER),
}
EXPLAINED = {
    "decision": DECISION,
    "route?": Maybe(ROUTE),
    "lanes": [
        {
            "group": TEXT,
            "lane": TEXT,
            "state": TEXT,
            "matched": FLAG,
            "winner": FLAG,
            "conditions": [CONDITION],
        }
    ],
    "pools": [{"tag": TEXT, "size": COUNT, "usable": COUNT, "instances": [{"address": TEXT}]}],
}


@click.command("explain", short_help="Show the decision for a request, and why.")
@click.argument("method")
@click.argument("url")
@click.option(
    "-H", "--header", "headers", multiple=True, metavar="'NAME: VALUE'", help="A header field; can be repeated."
)
@click.option("-d", "--data", default="", metavar="BODY", help="The request body, for rules that look at it.")
@click.option(
    "--client-ip",
    default="127.0.0.1",
    show_default=True,
    metavar="ADDRESS",
    callback=lambda _context, _parameter, text: _address(text),
    help="The client's address.",
)
@click.option(
    "-c",
    "--config",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Configuration of the entry gateway. [default: config/gateway.yaml]",
)
@click.option("--rules", type=click.Path(path_type=Path), help="Rules to use instead of those of the configuration.")
@server_options(required=False)
@output_option("table")
def command(
    method: str,
    url: str,
    headers: tuple[str, ...],
    data: str,
    client_ip: str,
    config: Path | None,
    rules: Path | None,
    server: str | None,
    token: str | None,
    output: str,
) -> None:
    """Show the decision for a request, and why.

    \b
    gateway explain GET '/A/a?group=gray'
    gateway explain GET http://shop.example/A/a -H 'X-User: alice' --rules draft.yaml
    gateway explain GET '/A/a?group=gray' --server 127.0.0.1:9900

    Without --server, files are read, and only the instances in them are known. Exits with 1 if the gateway would refuse
    the request, or cannot be queried.
    """
    pairs = [header_pair(text) for text in headers]
    if server is not None and (config is not None or rules is not None):
        raise click.UsageError("--server queries a running gateway; remove --config and --rules, which read files")
    try:
        with failing(output):
            if server is not None:
                body: dict[str, object] = {
                    "method": method,
                    "url": url,
                    "headers": pairs,
                    "client_ip": client_ip,
                    "body": data,
                }
                explained = ask(server, "POST", "/api/v1/explain", token, body, wants=EXPLAINED)
            else:
                from gateway.app.explain import explain_files

                path = config or Path("config/gateway.yaml")
                explained = explain_files(path, rules, method, url, pairs, client_ip=client_ip, body=data.encode())
    except ProtocolError as error:
        with failing(output):
            raise GatewayError(f"the gateway would refuse this request: {error}") from error
    if output == "json":
        echo_json(explained)
    else:
        _show(explained)


def _address(text: str) -> str:
    try:
        ip_address(text)
    except ValueError as error:
        raise click.BadParameter(f"{text!r} is not an IP address", param_hint="--client-ip") from error
    return text


def _show(explained: dict[str, Any]) -> None:
    decision = explained["decision"]
    rows: list[list[object]] = [
        ["route", decision["route"] or "none"],
        *_route(explained.get("route")),
        *_patience(explained.get("route")),
        ["service", decision["service"] or ""],
        ["lane", f"{decision['group']}/{decision['lane']}" if decision["lane"] else "none"],
        ["tag", f"{decision['tag']} (from: {decision['tag_source']})"],
        ["pool", decision["pool"]],
        ["fallback", decision["fallback"] or "none"],
        ["instance", decision["instance"] or "none"],
        ["revision", decision["revision"]],
    ]
    if decision.get("chosen_by"):
        rows.append(["chosen by", decision["chosen_by"]])
    if decision.get("rules"):
        rows.append(["rules", _rules(decision)])
    if decision.get("signature"):
        rows.append(["signature", decision["signature"]])
    if decision["error"]:
        rows.append(["error", f"{decision['error']}: {decision['detail']}"])
    print_table(["decision", ""], rows)
    lanes = [
        [
            f"{lane['group']}/{lane['lane']}" if index == 0 else "",
            "  " * depth + condition["text"],
            _value(condition),
            _bucket(condition),
            "yes" if condition["held"] else "no",
            _verdict(lane) if index == 0 else "",
        ]
        for lane in explained["lanes"]
        for index, (depth, condition) in enumerate(_flat(lane["conditions"]))
    ]
    if lanes:
        echo()
        print_table(["lane", "condition", "value", "bucket", "held", "verdict"], lanes)
    pools = [
        [pool["tag"], f"{pool['usable']} of {pool['size']}", ", ".join(entry["address"] for entry in pool["instances"])]
        for pool in explained["pools"]
    ]
    if pools:
        echo()
        print_table(["pool", "usable", "instances"], pools)


def _rules(decision: dict[str, Any]) -> str:
    """The terms that a marked request is decided by, and those that it came with if they are not known."""
    unknown = decision.get("unknown_rules")
    return f"{decision['rules']} (came with {unknown}, which is not known)" if unknown else str(decision["rules"])


def _patience(route: dict[str, Any] | None) -> list[list[object]]:
    """What a route says itself of timeouts and retries."""
    told = {} if route is None else route.get("patience", {})
    return [[name, value if value or not name.startswith("timeouts.") else "never"] for name, value in told.items()]


def _route(route: dict[str, Any] | None) -> list[list[object]]:
    """Why a route took the request, and among which services it divides requests, if it is one that says more than a path."""
    if route is None:
        return []
    asked = [["asks", text] for text in route["asked"]]
    compress = [["compresses", route["compress"]]] if route["compress"] else []
    own: list[list[object]] = [*asked, *compress]
    if route["source"] == "configuration":
        return own
    path = f"{'exactly' if route['exact'] else 'below'} {route['host'] or ''}{route['path']}"
    backends = [
        f"{backend['service'] or 'none'} {backend['weight']}"
        + (f" ({backend['tag']})" if backend["tag"] != BASE else "")
        + (f": {backend['problem']}" if backend["problem"] else "")
        for backend in route["backends"]
    ]
    return [*own, ["matches", ", ".join([path, *route["match"]])], ["backends", ", ".join(backends) or "none"]]


def _flat(conditions: list[dict[str, Any]], depth: int = 0) -> Iterator[tuple[int, dict[str, Any]]]:
    """Conditions and those inside them, each with its depth."""
    for condition in conditions:
        yield depth, condition
        yield from _flat(condition["members"], depth + 1)


def _value(condition: dict[str, Any]) -> str:
    if condition["members"]:
        return ""
    return "(absent)" if condition["value"] is None else repr(condition["value"])


def _bucket(condition: dict[str, Any]) -> str:
    """The bucket as a percentage, and the spans of the lane."""
    if not condition["share"] and condition["bucket"] is None:
        return ""
    drawn = "" if condition["bucket"] is None else f"{condition['bucket'] / 100:.2f} "
    kept = ", kept by its cookie" if condition["kept"] else ""
    return f"{drawn}of {', '.join(condition['share']) or 'none'}{kept}"


def _verdict(lane: dict[str, Any]) -> str:
    if lane["winner"]:
        return "takes the request"
    if lane["state"] != "open":
        return str(lane["state"])
    return "matches too, but an earlier lane wins" if lane["matched"] else "does not match"
