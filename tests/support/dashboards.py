"""The queries of the shipped boards and alerts."""

from __future__ import annotations

import json
import re
from pathlib import Path

import yaml

CONFIG = Path(__file__).parents[2] / "config"
ALERTS = CONFIG / "prometheus" / "alerts.yaml"
BOARDS = sorted((CONFIG / "grafana").glob("*.json"))

VARIABLES = {
    "job": ".*",
    "instance": ".*",
    "listener": ".*",
    "service": ".*",
    "tag": "gray",
    "__rate_interval": "1m",
    "__range": "1h",
}


def filled(query: str, **values: str) -> str:
    """A query as Grafana sends it, with its variables replaced."""
    for name, value in {**VARIABLES, **values}.items():
        query = re.sub(rf"\${name}\b", value, query)
    assert "$" not in query, query
    return query


def board_queries() -> dict[str, str]:
    """By board, panel and legend."""
    found = {}
    for path in BOARDS:
        for panel in json.loads(path.read_text())["panels"]:
            for target in panel.get("targets", ()):
                found[f"{path.stem}: {panel['title']}: {target['legendFormat']}"] = target["expr"]
    return found


def alert_queries() -> dict[str, str]:
    """By name."""
    groups = yaml.safe_load(ALERTS.read_text())["groups"]
    return {rule["alert"]: rule["expr"] for group in groups for rule in group["rules"]}
