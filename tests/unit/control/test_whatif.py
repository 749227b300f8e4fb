"""What would change: what is shown of recorded requests."""

from __future__ import annotations

import time

import pytest

from gateway.control.whatif import Recorded, compare
from gateway.http.request import Request
from gateway.rules.model import LaneGroup
from gateway.rules.ruleset import RuleSet
from gateway.rules.surroundings import Surroundings
from gateway.settings.plane import AccessLogSettings
from tests.support.proxy import LANE


@pytest.mark.parametrize(
    ("log", "shown"),
    [
        (None, "GET /A?group=gray&to%6ben=***&code=secret from 127.0.0.1"),
        (AccessLogSettings(mask=["code"]), "GET /A?group=gray&to%6ben=secret&code=*** from 127.0.0.1"),
    ],
    ids=["by default", "as the access log has it"],
)
def test_examples_are_masked(log: AccessLogSettings | None, shown: str) -> None:
    request = Request.build("GET", "/A?group=gray&to%6ben=secret&code=secret")
    rules = RuleSet.of([LaneGroup.model_validate(LANE)])
    found = compare(rules, RuleSet(), Surroundings(time.time), [Recorded(request, None)], log)
    assert found.moves["demo/gray", "baseline"].examples == [shown]
