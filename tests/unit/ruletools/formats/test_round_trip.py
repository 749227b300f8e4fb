"""What both sides can say survives; nothing becomes wider on the way."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from gateway.ruletools.formats import FORMATS
from tests.support.examples import examples
from tests.support.formats import GRAY, MANY, TEXT, group, there_and_back

EXPRESSIBLE: dict[str, list[dict[str, Any]]] = {
    "mse": [
        {},
        MANY,
        {"enabled": False},
        {"paths": ["/A", "/B/c"]},
        {"match": [{"path": {"prefix": "/"}}]},
        {"match": [{"path": {"prefix": "/"}}], "paths": ["/A"]},
        {"match": [{"header": "a", "not_equals": "x"}, {"cookie": "b", "prefix": "x."}, {"param": "c", "suffix": "y"}]},
        {
            "match": [
                {"header": "a", "contains": "(x)"},
                {"cookie": "b", "regex": "v[0-9]+|w"},
                {"param": "c", "exists": True},
            ]
        },
        {"match": [{"header": "a", "gt": 3}, {"header": "a", "lte": 9.5}]},
        {"match": [{"cookie": "uid", "percent": 30}]},
        {"match_mode": "any", "match": [GRAY, {"all": [GRAY, {"header": "a", "equals": "b"}]}], "paths": ["/A"]},
        {"match_mode": "any", "match": [{"any": [GRAY, {"header": "a", "equals": "b"}]}, GRAY]},
    ],
    "polaris": [
        {},
        MANY,
        {"enabled": False, "strict": True},
        {"paths": ["/A", "/B.x/c"]},
        {"paths": ["/"]},
        {"match": [{"path": {"prefix": "/"}}]},
        {
            "match": [
                {"header": "a", "equals": "X", "ignore_case": True},
                {"param": "b", "in": ["x", "y"], "ignore_case": True},
            ]
        },
        {"match": [{"cookie": "b", "not_in": ["", "x"], "ignore_case": True}]},
        {"match": [{"method": {"in": ["GET", "PUT"]}}, {"client_ip": {"not_in": ["10.0.0.1", "::1"]}}]},
        {"match": [{"path": {"not_equals": "/x", "ignore_case": True}}, {"path": {"prefix": "/A/"}}]},
        {
            "match": [
                {"header": "a", "suffix": "x|y"},
                {"header": "a", "contains": "^"},
                {"header": "b", "exists": True},
            ]
        },
        {"match": [{"header": "a", "regex": "v[0-9]+"}, {"header": "a", "regex": "a|b+"}]},
        {"match": [{"all": [{"header": "n", "range": [-1, 5]}, {"header": "n", "regex": "[+-]?[0-9]+"}]}]},
    ],
    "istio": [
        {},
        MANY,
        {"paths": ["/A", "/B.x"]},
        {"match": [{"path": {"prefix": "/"}}]},
        {"match": [{"path": {"equals": "/x", "ignore_case": True}}, {"method": {"equals": "GET"}}]},
        {"match": [{"host": {"suffix": ".example"}}, {"param": "a", "prefix": "x"}, {"param": "b", "exists": True}]},
        {"match": [{"header": "a", "prefix": "x"}, {"header": "b", "exists": True}, {"header": "c", "absent": True}]},
        {"match": [{"header": "a", "not_equals": "x"}, {"header": "b", "not_in": ["x", "y.z"]}]},
        {"match": [{"not": {"header": "a", "equals": "x"}}]},
        {"match": [{"cookie": "user", "equals": "ja.son"}]},
        {"match": [{"cookie": "user", "in": ["a", "b"]}, {"header": "a", "regex": "v[0-9]+"}]},
        {"match_mode": "any", "match": [GRAY, {"all": [{"header": "a", "contains": "b"}, GRAY]}], "paths": ["/A"]},
    ],
}
CASES = [
    (form, {"strict": True, **lane} if form == "istio" else lane) for form in FORMATS for lane in EXPRESSIBLE[form]
]


@pytest.mark.parametrize(("form", "lane"), CASES, ids=str)
def test_what_can_be_said_survives(form: str, lane: dict[str, Any]) -> None:
    ours = group(lane)
    assert there_and_back(form, ours) == (ours,)


@pytest.mark.parametrize("form", FORMATS)
def test_order_names_and_tags_survive(form: str) -> None:
    lanes = [{"name": f"n.{tag}", "tag": tag, "strict": form == "istio"} for tag in ("zz", "Gray_1", "gray-1", "aa")]
    first = group(*lanes)
    second = group(*lanes[:1], name="other", services=["c"])
    assert there_and_back(form, first, second) == (first, second)


NAMED = st.sampled_from(["header", "param"])


@examples(60)
@given(
    form=st.sampled_from(FORMATS),
    source=NAMED,
    operator=st.sampled_from(["equals", "prefix", "suffix", "contains"]),
    text=TEXT,
)
def test_any_text_survives(form: str, source: str, operator: str, text: str) -> None:
    assume(source == "param" or (text == text.strip(" ") and text.isprintable()))  # a header has no other
    ours = group({"match": [{source: "k", operator: text}], "strict": form == "istio"})
    assert there_and_back(form, ours) == (ours,)
