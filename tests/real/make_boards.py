"""Writes the Grafana boards in `config/grafana`: `python -m tests.real.make_boards` after a change here.

A panel is a line: its title, its unit, and its queries with their legends. Grafana imports the files as they are, and asks for
the data source; nothing in them names one.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parents[2] / "config" / "grafana"

SOURCE = {"type": "prometheus", "uid": "${datasource}"}
ALL = 'job=~"$job", instance=~"$instance"'
OF = f'{ALL}, listener=~"$listener", service=~"$service"'
WIDTH, HEIGHT = 8, 8


def rate(metric: str, labels: str = ALL) -> str:
    return f"rate({metric}{{{labels}}}[$__rate_interval])"


def share(part: str, whole: str, by: str) -> str:
    """One share of another; 0 if there is none of it."""
    return f"(sum by ({by}) ({part}) or sum by ({by}) ({whole}) * 0) / sum by ({by}) ({whole})"


def quantile(q: float, labels: str, by: str = "") -> str:
    """Of the duration of requests."""
    names = f"le, {by}" if by else "le"
    return f"histogram_quantile({q}, sum by ({names}) ({rate('gateway_request_duration_seconds_bucket', labels)}))"


@dataclass(frozen=True)
class Panel:
    title: str
    unit: str
    queries: Mapping[str, str]
    """By legend."""
    kind: str = "timeseries"
    description: str = ""


OVERVIEW = {
    "Traffic": [
        Panel("Requests by tag", "reqps", {"{{tag}}": f"sum by (tag) ({rate('gateway_requests_total', OF)})"}),
        Panel(
            "Share of failed requests by tag",
            "percentunit",
            {
                "{{tag}}": share(
                    rate("gateway_failed_requests_total", OF), rate("gateway_requests_total", OF), "tag"
                )
            },
        ),
        Panel("p95 by tag", "s", {"{{tag}}": quantile(0.95, OF, "tag")}),
        Panel(
            "Requests by service", "reqps", {"{{service}}": f"sum by (service) ({rate('gateway_requests_total', OF)})"}
        ),
        Panel(
            "Refused before a service was chosen",
            "reqps",
            {"{{code}}": f"sum by (code) ({rate('gateway_refused_requests_total')})"},
        ),
        Panel(
            "In flight and connections",
            "short",
            {
                "in flight": f"sum(gateway_requests_in_flight{{{ALL}}})",
                "client connections": f"sum(gateway_open_connections{{{ALL}}})",
                "tunnels": f"sum(gateway_tunnels{{{ALL}}})",
            },
        ),
    ],
    "Lanes": [
        Panel(
            "Requests put on lanes",
            "reqps",
            {"{{group}}/{{lane}}": f"sum by (group, lane) ({rate('gateway_lane_decisions_total')})"},
        ),
        Panel(
            "Fallbacks to the baseline",
            "reqps",
            {"{{service}} {{reason}}": f"sum by (service, reason) ({rate('gateway_lane_fallbacks_total')})"},
            description="`absent` is normal for services without a gray version.",
        ),
        Panel(
            "Calls that lost their tag",
            "reqps",
            {"{{from}} → {{to}}": f"sum by (from, to) ({rate('gateway_lane_lost_total')})"},
        ),
    ],
    "Instances": [
        Panel(
            "Usable instances",
            "short",
            {"{{service}} {{tag}}": f'max by (service, tag) (gateway_endpoints{{{ALL}, usable="true"}})'},
        ),
        Panel(
            "Ejections and excused failures",
            "short",
            {
                "{{service}} {{cause}}": (
                    f"sum by (service, cause) (increase(gateway_ejections_total{{{ALL}}}[$__rate_interval]))"
                ),
                "{{service}} excused": (
                    f"sum by (service) (increase(gateway_excused_failures_total{{{ALL}}}[$__rate_interval]))"
                ),
            },
            description="`excused`: failures of those whom an instance had called. They do not eject it.",
        ),
        Panel(
            "Upstream errors",
            "reqps",
            {"{{service}} {{kind}}": f"sum by (service, kind) ({rate('gateway_upstream_errors_total')})"},
        ),
        Panel(
            "Retries",
            "reqps",
            {
                "{{service}} {{reason}}": f"sum by (service, reason) ({rate('gateway_retries_total')})",
                "{{service}} denied": f"sum by (service) ({rate('gateway_retries_denied_total')})",
            },
        ),
        Panel(
            "Age of what registries said",
            "s",
            {"{{registry}} {{state}}": f"max by (registry, state) (gateway_registry_sync_age_seconds{{{ALL}}})"},
        ),
        Panel(
            "Registry errors",
            "reqps",
            {"{{registry}} {{reason}}": f"sum by (registry, reason) ({rate('gateway_registry_errors_total')})"},
        ),
    ],
    "The program": [
        Panel(
            "Time spent in the gateway",
            "s",
            {
                "p50": f"histogram_quantile(0.5, sum by (le) ({rate('gateway_overhead_seconds_bucket')}))",
                "p99": f"histogram_quantile(0.99, sum by (le) ({rate('gateway_overhead_seconds_bucket')}))",
            },
        ),
        Panel(
            "CPU",
            "percentunit",
            {"{{instance}} {{process}}": f"sum by (instance, process) ({rate('process_cpu_seconds_total')})"},
        ),
        Panel(
            "Memory",
            "bytes",
            {"{{instance}} {{process}}": f"sum by (instance, process) (process_resident_memory_bytes{{{ALL}}})"},
        ),
        Panel(
            "File descriptors in use",
            "percentunit",
            {
                "{{instance}} {{process}}": (
                    f"max by (instance, process) (process_open_fds{{{ALL}}} / process_max_fds{{{ALL}}})"
                )
            },
        ),
        Panel("Revision of the rules", "none", {"{{instance}}": f"max by (instance) (gateway_config_revision{{{ALL}}})"}),
        Panel(
            "Loads that failed",
            "short",
            {
                "{{instance}}": (
                    f'sum by (instance) (increase(gateway_config_reloads_total{{{ALL}, result="failure"}}[$__range]))'
                )
            },
            kind="stat",
        ),
    ],
}  # fmt: skip

GRAY, BASE = OF + ', tag="$tag"', OF + ', tag="base"'
LOST = ALL + ', tag="$tag"'
SIDES = {"$tag": GRAY, "base": BASE}

LANE = {
    "The lane and the baseline": [
        Panel(
            "Requests", "reqps", {name: f"sum({rate('gateway_requests_total', of)})" for name, of in SIDES.items()}
        ),
        Panel(
            "Share of failed requests",
            "percentunit",
            {
                name: share(
                    rate("gateway_failed_requests_total", of), rate("gateway_requests_total", of), "tag"
                )
                for name, of in SIDES.items()
            },
        ),
        Panel(
            "Share of 4xx",
            "percentunit",
            {
                name: share(
                    rate("gateway_requests_total", of + ', code=~"4.."'), rate("gateway_requests_total", of), "tag"
                )
                for name, of in SIDES.items()
            },
        ),
        Panel("p50", "s", {name: quantile(0.5, of) for name, of in SIDES.items()}),
        Panel("p95", "s", {name: quantile(0.95, of) for name, of in SIDES.items()}),
        Panel("p99", "s", {name: quantile(0.99, of) for name, of in SIDES.items()}),
        Panel(
            "p95 of the lane as a multiple of the baseline's",
            "none",
            {"$tag / base": f"{quantile(0.95, GRAY)} / {quantile(0.95, BASE)}"},
            description="Above 1, the lane is slower.",
        ),
        Panel(
            "Share of requests in the lane",
            "percentunit",
            {
                "$tag": f"sum({rate('gateway_requests_total', GRAY)}) / sum({rate('gateway_requests_total', OF)})",
            },
        ),
        Panel(
            "Bytes per response",
            "bytes",
            {
                name: (
                    f"sum({rate('gateway_response_bytes_total', of)})"
                    f" / sum({rate('gateway_request_duration_seconds_count', of)})"
                )
                for name, of in SIDES.items()
            },
        ),
    ],
    "Where the lane is left": [
        Panel(
            "Fallbacks to the baseline",
            "reqps",
            {"{{service}} {{reason}}": f"sum by (service, reason) ({rate('gateway_lane_fallbacks_total', GRAY)})"},
        ),
        Panel(
            "Calls that lost their tag",
            "reqps",
            {
                "{{from}} → {{to}} {{why}}": (
                    f"sum by (from, to, why) ({rate('gateway_lane_lost_total', LOST)})"
                )
            },
        ),
        Panel(
            "Requests put on lanes",
            "reqps",
            {"{{group}}/{{lane}}": f"sum by (group, lane) ({rate('gateway_lane_decisions_total')})"},
        ),
    ],
    "By service": [
        Panel(
            "p95 in the lane",
            "s",
            {"{{service}}": quantile(0.95, GRAY, "service")},
        ),
        Panel(
            "Share of failed requests in the lane",
            "percentunit",
            {
                "{{service}}": share(
                    rate("gateway_failed_requests_total", GRAY), rate("gateway_requests_total", GRAY), "service"
                )
            },
        ),
        Panel(
            "Usable instances",
            "short",
            {
                "{{service}} {{tag}}": (
                    f'max by (service, tag) (gateway_endpoints{{{ALL}, service=~"$service",'
                    ' tag=~"base|$tag", usable="true"})'
                )
            },
        ),
    ],
}  # fmt: skip


def variable(name: str, query: str, *, several: bool = True, current: str = "") -> dict[str, Any]:
    """A drop-down list; `current` is what is chosen at first, by default everything."""
    chosen = current or "$__all"
    return {
        "name": name,
        "type": "query",
        "datasource": SOURCE,
        "query": {"query": query, "refId": name},
        "definition": query,
        "refresh": 2,
        "sort": 1,
        "multi": several,
        "includeAll": several,
        "allValue": ".*" if several else None,
        "current": {"text": current or "All", "value": [chosen] if several else chosen},
    }


def variables() -> list[dict[str, Any]]:
    """What both boards let people choose."""
    return [
        {"name": "datasource", "type": "datasource", "query": "prometheus", "label": "data source"},
        variable("job", "label_values(gateway_build_info, job)"),
        variable("instance", 'label_values(gateway_build_info{job=~"$job"}, instance)'),
        variable("listener", 'label_values(gateway_requests_total{job=~"$job"}, listener)', current="entry"),
        variable("service", 'label_values(gateway_requests_total{job=~"$job"}, service)'),
    ]


def board(
    uid: str, title: str, rows: Mapping[str, Iterable[Panel]], more: Iterable[dict[str, Any]] = ()
) -> dict[str, Any]:
    """A board as Grafana imports it."""
    panels: list[dict[str, Any]] = []
    y = 0
    for name, content in rows.items():
        panels.append({"type": "row", "title": name, "gridPos": {"x": 0, "y": y, "w": 24, "h": 1}, "panels": []})
        y += 1
        for number, item in enumerate(content):
            position = {"x": number % 3 * WIDTH, "y": y + number // 3 * HEIGHT, "w": WIDTH, "h": HEIGHT}
            panels.append(_panel(item, position))
        y += (number // 3 + 1) * HEIGHT
    for number, panel in enumerate(panels, 1):
        panel["id"] = number
    return {
        "uid": uid,
        "title": title,
        "tags": ["gray-gateway"],
        "schemaVersion": 39,
        "editable": True,
        "refresh": "30s",
        "time": {"from": "now-1h", "to": "now"},
        "templating": {"list": [*variables(), *more]},
        "links": [{"type": "dashboards", "title": "gray-gateway", "tags": ["gray-gateway"], "keepTime": True}],
        "panels": panels,
    }


def _panel(item: Panel, position: dict[str, int]) -> dict[str, Any]:
    targets = [
        {"refId": chr(ord("A") + number), "datasource": SOURCE, "expr": query, "legendFormat": legend}
        for number, (legend, query) in enumerate(item.queries.items())
    ]
    return {
        "type": item.kind,
        "title": item.title,
        "description": item.description,
        "datasource": SOURCE,
        "gridPos": position,
        "fieldConfig": {"defaults": {"unit": item.unit, "min": 0}, "overrides": []},
        "targets": targets,
    }


def boards() -> dict[str, dict[str, Any]]:
    """The boards by file name."""
    tag = variable(
        "tag", 'label_values(gateway_requests_total{job=~"$job", tag!="base"}, tag)', several=False, current="gray"
    )
    return {
        "overview.json": board("gray-gateway-overview", "gray-gateway: overview", OVERVIEW),
        "lane.json": board("gray-gateway-lane", "gray-gateway: lane against baseline", LANE, [tag]),
    }


def text_of(content: dict[str, Any]) -> str:
    """As it is in the file."""
    return json.dumps(content, indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    for name, content in boards().items():
        (FOLDER / name).write_text(text_of(content))
