"""The shipped boards and alerts ask for metrics and labels that there are, and each alert has a test."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from gateway.admin.metrics import METRICS
from tests.real.make_boards import FOLDER, boards, text_of
from tests.support.dashboards import ALERTS, alert_queries, board_queries

SCRAPED = {"job", "instance"}
LABELS = {
    **{family.name: {*family.labels, *SCRAPED, *(["le"] if family.type == "histogram" else [])} for family in METRICS},
    **{name: {*SCRAPED, "process"} for name in (
        "process_cpu_seconds_total", "process_resident_memory_bytes", "process_open_fds", "process_max_fds",
    )},
    "up": SCRAPED,
}  # fmt: skip
SELECTOR = re.compile(r"\b((?:gateway|process)_[a-z0-9_]+|up)\b(?:\{([^}]*)\})?")
QUERIES = {**board_queries(), **alert_queries()}


@pytest.mark.parametrize("query", QUERIES.values(), ids=QUERIES)
def test_a_query_asks_for_metrics_and_labels_that_there_are(query: str) -> None:
    found = SELECTOR.findall(query)
    assert found
    for name, selector in found:
        metric = name if name in LABELS else re.sub(r"_(bucket|count|sum)$", "", name)
        assert set(re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", selector)) <= LABELS[metric]


def test_the_boards_are_what_is_made_of_them() -> None:
    assert {path.name: path.read_text() for path in FOLDER.iterdir()} == {
        name: text_of(content) for name, content in boards().items()
    }


def test_every_alert_says_what_to_do() -> None:
    for group in yaml.safe_load(ALERTS.read_text())["groups"]:
        for rule in group["rules"]:
            assert (set(rule["annotations"]), rule["labels"]["severity"] in ("info", "warning", "critical")) == (
                {"summary", "action"},
                True,
            )


@pytest.mark.parametrize("alert", alert_queries())
def test_every_alert_has_a_test(alert: str) -> None:
    assert f"alertname: {alert}" in (Path(ALERTS.parent) / "alerts.test.yaml").read_text()
