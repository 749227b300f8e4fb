"""What a drill may say, and what is said if it may not."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from gateway.rules.faults import LaneFault
from gateway.rules.injected import InjectedFaults


def test_what_is_left_out_has_a_default() -> None:
    assert LaneFault.model_validate({"delay": "200ms"}).model_dump() == {
        "services": [],
        "delay": "200ms",
        "abort": None,
        "percent": 100.0,
    }


@pytest.mark.parametrize(("text", "seconds"), [("200ms", 0.2), ("1.5s", 1.5), ("60s", 60.0)])
def test_a_delay_has_a_unit(text: str, seconds: float) -> None:
    assert LaneFault.model_validate({"delay": text}).delay == seconds


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({}, "delay or abort is needed"),
        ({"percent": 10}, "delay or abort is needed"),
        ({"delay": "2m"}, "a delay is a number with ms or s, up to 60s; found '2m'"),
        ({"delay": "0s"}, "found '0s'"),
        ({"delay": "61s"}, "found '61s'"),
        ({"abort": 200}, "greater than or equal to 400"),
        ({"abort": 600}, "less than or equal to 599"),
        ({"abort": 503, "percent": 0}, "greater than 0"),
        ({"abort": 503, "percent": 101}, "less than or equal to 100"),
        ({"abort": 503, "after": 1}, "Extra inputs are not permitted"),
    ],
)
def test_what_makes_no_sense_is_refused_with_what_does(given: dict[str, Any], says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        LaneFault.model_validate(given)


def test_the_first_fault_of_a_tag_for_a_service_counts() -> None:
    first = LaneFault(services=["b"], abort=418, percent=10).compile("g/first", ["a", "b"])
    second = LaneFault(delay=1.0).compile("g/second", ["a", "b"])
    faults = InjectedFaults({"gray": [first, second]})
    assert faults.find("gray", "b", 0.0999) is first
    assert faults.find("gray", "b", 0.1) is None
    assert faults.find("gray", "a", 0.99) is second
    assert faults.find("gray", "c", 0.0) is None
    assert faults.find("blue", "b", 0.0) is None
