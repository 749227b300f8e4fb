"""What a mirror may say, what is said if it may not, and who gets a copy."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from gateway.rules.mirrored import MirroredLanes
from gateway.rules.mirrors import LaneMirror


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({}, "percent"),
        ({"percent": 0}, "greater than 0"),
        ({"percent": 101}, "less than or equal to 100"),
        ({"percent": 5, "methods": []}, "at least 1 item"),
        (
            {"percent": 5, "methods": ["CONNECT"]},
            "of gRPC .package.Service/Method. or .package.Service/\\*.; found 'CONNECT'",
        ),
        (
            {"percent": 5, "compare": {"ignore": ["$.time"]}},
            r"a place in a JSON body is /name, /items/0 or /items/\*/id",
        ),
        ({"percent": 5, "compare": {"headers": ["Set-Cookie"]}}, "set-cookie is not compared: it holds secrets"),
        ({"percent": 5, "compare": {"tolerance": 2}}, "less than or equal to 1"),
        ({"percent": 5, "compare": {"body": "xml"}}, "Input should be 'none', 'bytes' or 'json'"),
    ],
)
def test_what_makes_no_sense_is_refused_with_what_does(given: dict[str, Any], says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        LaneMirror.model_validate(given)


def test_a_request_is_copied_once_and_only_if_it_may_be_done_twice() -> None:
    first = LaneMirror(percent=10).compile("g/first", "first", ["a"])
    second = LaneMirror(percent=20, methods=["POST", "GET"]).compile("g/second", "second", [])
    lanes = MirroredLanes([first, second])
    assert lanes.find("a", "GET", 0.09) is first
    assert lanes.find("a", "GET", 0.11) is second
    assert lanes.find("a", "GET", 0.31) is None
    assert lanes.find("a", "POST", 0.0) is second
    assert lanes.find("a", "DELETE", 0.0) is None
    assert lanes.find("b", "GET", 0.0) is second
