"""`gateway lanes`."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

import click

from gateway.cli.client import Refused, ask, server_options
from gateway.cli.failing import failing
from gateway.cli.output import echo, echo_json, output_option, print_table
from gateway.errors import GatewayError
from gateway.shapes import COUNT, FLAG, MOMENT, NUMBER, TEXT, Each, Filled, Maybe

COLUMNS = ("lane", "tag", "state", "share", "hits", "requests/s", "errors", "p95", "notes")
BASE = "base"
STEP = {"at": MOMENT, "percent": NUMBER}
LANE = {
    "group": TEXT,
    "lane": TEXT,
    "tag": TEXT,
    "enabled": FLAG,
    "services": [TEXT],
    "percent": Maybe(NUMBER),
    "hits": COUNT,
    "schedule": Maybe({"held": FLAG, "next": Maybe(STEP), "steps": [STEP]}),
    "guard": Maybe(
        {
            "then": TEXT,
            "state": Maybe(TEXT),
            "outcome": Maybe(TEXT),
            "reason": Maybe(TEXT),
            "past": [{"at": MOMENT, "state": TEXT, "reason": TEXT}],
        }
    ),
    "fault": Maybe(
        {
            "delay": Maybe(NUMBER),
            "abort": Maybe(COUNT),
            "percent": NUMBER,
            "services": [TEXT],
            "injected": Each(COUNT),
        }
    ),
    "mirror": Maybe({"percent": NUMBER, "results": Each(COUNT)}),
}
LANES = {"lanes": [LANE]}
TRENDS = {
    "tags": [
        {"tag": TEXT, "rate": Filled(NUMBER), "errors": Filled(Maybe(NUMBER)), "p95": Filled(Maybe(NUMBER))},
    ]
}
LOST = {"lost": [{"tag?": Maybe(TEXT), "from": TEXT, "to": TEXT, "why": TEXT, "count": COUNT}]}


@click.command("lanes", short_help="Show the lanes of a running gateway, and everything about one of them.")
@click.argument("lane", required=False, metavar="[GROUP/LANE]")
@server_options(required=True)
@output_option("table")
def command(lane: str | None, server: str, token: str | None, output: str) -> None:
    """Show the lanes of a running gateway in the order in which they are tried: open or not, share, and the latest traffic.

    Of one lane, also its schedule, what its guard found, its drill and its mirror, which services lost the tag, and requests
    of the last ten minutes beside the baseline.

    \b
    gateway lanes --server 127.0.0.1:9900
    gateway lanes demo/gray --server 127.0.0.1:9900
    """
    with failing(output):
        found = ask(server, "GET", "/api/v1/lanes", token, wants=LANES)["lanes"]
        if lane is None:
            trends = ask(server, "GET", "/api/v1/trends", token, wants=TRENDS)
            if output == "json":
                echo_json({"lanes": found, "trends": trends})
            else:
                print_table(COLUMNS, [_row(item, _last(trends)) for item in found])
            return
        one = next((item for item in found if lane == f"{item['group']}/{item['lane']}"), None)
        if one is None:
            known = ", ".join(f"{item['group']}/{item['lane']}" for item in found[:20]) or "none"
            raise GatewayError(f"there is no lane {lane!r} (there are: {known})")
        # JSON can hold half a character.
        services = urlencode({"services": ",".join(one["services"])}, errors="replace")
        trends = ask(server, "GET", f"/api/v1/trends?{services}", token, wants=TRENDS)
        try:
            lost = ask(server, "GET", "/api/v1/lost-tags?seconds=3600", token, wants=LOST)["lost"]
        except Refused:
            lost = []  # no requests are kept there
        lost = [loss for loss in lost if _is_of(loss, one)]
        if output == "json":
            echo_json({"lane": one, "trends": trends, "lost": lost})
        else:
            for line in _lines(one, _last(trends), lost):
                echo(line)


def _is_of(loss: dict[str, Any], lane: dict[str, Any]) -> bool:
    """Whether a lane's tag was lost, or may have been."""
    if loss.get("tag"):
        return bool(loss["tag"] == lane["tag"])
    return not lane["services"] or loss["from"] in lane["services"]


def _last(trends: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The last step of each tag."""
    return {tag["tag"]: {key: tag[key][-1] for key in ("rate", "errors", "p95")} for tag in trends["tags"]}


def _row(lane: dict[str, Any], rates: dict[str, dict[str, Any]]) -> list[str]:
    return [
        f"{lane['group']}/{lane['lane']}",
        lane["tag"],
        "open" if lane["enabled"] else "closed",
        _share(lane["percent"]),
        str(lane["hits"]),
        *_rates(rates.get(lane["tag"])),
        "; ".join(_notes(lane)),
    ]


def _notes(lane: dict[str, Any]) -> Iterator[str]:
    if lane["fault"]:
        yield "drill"
    if lane["mirror"]:
        yield f"mirror {lane['mirror']['percent']:g} %"
    if lane["schedule"]:
        yield _next(lane["schedule"])
    if lane["guard"] and lane["guard"]["state"] in ("tripped", "worse"):
        yield f"guard: {lane['guard']['outcome'] or 'worse than the baseline'}"


def _next(schedule: dict[str, Any]) -> str:
    step = schedule["next"]
    if step is not None:
        return f"{step['percent']:g} % from {_moment(step['at'])}"
    return "held" if schedule["held"] else "schedule complete"


def _share(percent: float | None) -> str:
    return "" if percent is None else f"{percent:g} %"


def _rates(last: dict[str, Any] | None) -> list[str]:
    """Requests per second, share of errors, p95."""
    if last is None:
        return ["0", "", ""]
    late = last["p95"]
    p95 = "" if late is None else f"{late * 1000:.0f} ms" if late >= 0.01 else f"{late * 1000:.1f} ms"
    return [f"{last['rate']:.1f}", "" if last["errors"] is None else f"{last['errors'] * 100:.1f} %", p95]


def _lines(lane: dict[str, Any], rates: dict[str, dict[str, Any]], lost: list[dict[str, Any]]) -> Iterator[str]:
    share = "" if lane["percent"] is None else f", {_share(lane['percent'])}"
    yield f"{lane['group']}/{lane['lane']}: tag {lane['tag']}, {'open' if lane['enabled'] else 'closed'}{share}"
    for name, tag in (("lane", lane["tag"]), ("baseline", BASE)):
        rate, errors, p95 = _rates(rates.get(tag))
        yield f"  {name:<9} {rate} requests/s, errors {errors or '-'}, p95 {p95 or '-'}"
    if lane["fault"]:
        yield f"  drill     {_fault(lane['fault'])}"
    if lane["schedule"]:
        steps = ", ".join(f"{step['percent']:g} % from {_moment(step['at'])}" for step in lane["schedule"]["steps"])
        yield f"  schedule  {steps}; next: {_next(lane['schedule'])}"
    if lane["guard"]:
        guard = lane["guard"]
        state = guard["outcome"] or guard["state"] or "does not watch"
        yield f"  guard     {state}{': ' + guard['reason'] if guard['reason'] else ''}; then: {guard['then']}"
        for past in guard["past"]:
            yield f"            {_moment(past['at'])} {past['state']}: {past['reason']}"
    if lane["mirror"]:
        results = ", ".join(f"{count} {word}" for word, count in lane["mirror"]["results"].items())
        yield f"  mirror    {lane['mirror']['percent']:g} % of the baseline's requests: {results}"
    for loss in lost:
        yield f"  lost tag  {loss['from']} → {loss['to']}: {loss['why']}, {loss['count']} in the last hour"


def _fault(fault: dict[str, Any]) -> str:
    does = [f"held up {fault['delay']:g} s"] if fault["delay"] else []
    does += [f"fail with {fault['abort']}"] if fault["abort"] else []
    counted = ", ".join(f"{count} {kind}" for kind, count in fault["injected"].items())
    where = f" to {', '.join(fault['services'])}" if fault["services"] else ""
    return f"INJECTED: {fault['percent']:g} % of requests{where} are {' and '.join(does)} (so far: {counted})"


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds).astimezone().isoformat(sep=" ", timespec="seconds")
