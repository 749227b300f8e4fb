"""The table of endpoints: what is free, what is served twice, what has a limit."""

from __future__ import annotations

from collections import Counter

from gateway.admin.table import ENDPOINTS, RULES, VIEWS


def test_only_health_and_metrics_are_free() -> None:
    """Whatever is added is not, unless somebody says so here too."""
    assert {item.path for item in ENDPOINTS if item.is_free} == {"/livez", "/readyz", "/metrics"}


def test_a_method_of_a_path_is_served_once_and_each_has_a_word_for_people() -> None:
    assert [name for name, count in Counter((item.method, item.path) for item in ENDPOINTS).items() if count > 1] == []
    assert [item.path for item in ENDPOINTS if not item.summary] == []


def test_what_may_change_something_takes_a_bounded_body() -> None:
    """With a body comes the check of its type, without which a web page could send it."""
    assert [item.path for item in ENDPOINTS if item.method != "GET" and not 0 < item.limit <= 4 << 20] == []


def test_a_sidecar_has_nothing_that_changes_rules() -> None:
    assert [item.path for item in VIEWS if item.method != "GET"] == ["/api/v1/explain"]
    assert {item.handler.__qualname__.partition(".")[0] for item in RULES} == {"RulesApi"}
