"""No import and no export makes a lane wider: who is kept off it in one system is kept off it in the other."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from gateway.rules.model import LaneGroup
from gateway.ruletools.formats import FORMATS, import_rules
from tests.support.asked import asked
from tests.support.examples import examples
from tests.support.formats import there_and_back
from tests.support.rules import compiled

HEADER = [("a", "b")]
ITEM = {"Type": "header", "Name": "a", "Cond": "==", "Value": "b"}
MATCH = {"headers": {"a": {"exact": "b"}}}
TO_X = {"match": [{"uri": {"exact": "/x"}}]}


def mse(rule: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"Name": "l", "Tag": "t", "EntryRules": [{"RestItems": [ITEM], **rule}], **more}


def polaris(kind: str, text: str, source: str = "HEADER", enable: Any = True, **more: Any) -> dict[str, Any]:
    argument = {"type": source, "key": "a", "value": {"type": kind, "value": text}}
    rule = {"name": "l", "default_label_value": "t", "traffic_match_rule": {"arguments": [argument]}}
    group = {"name": "x", "entries": [{"selector": {"service": "gateway"}}], "destinations": [{"service": "s"}], **more}
    return {**group, "rules": [rule if enable is None else {**rule, "enable": enable}]}


def istio(*routes: dict[str, Any], **spec: Any) -> dict[str, Any]:
    last = {"match": [MATCH], "route": [{"destination": {"host": "reviews", "subset": "v2"}}]}
    spec = {"hosts": ["reviews"], "http": [*routes, last], **spec}
    return {"kind": "VirtualService", "metadata": {"name": "reviews"}, "spec": spec}


def takes(form: str, data: Any, target: str, headers: list[tuple[str, str]]) -> bool:
    groups = list(import_rules(form, data).groups)
    return compiled(groups).match(asked("GET", target, headers, "10.1.2.3")) is not None


@pytest.mark.parametrize(
    ("form", "data", "target"),
    [("mse", mse({}), "/"), ("polaris", polaris("EXACT", "b"), "/"), ("istio", istio(), "/")],
)
def test_the_lanes_of_these_tests_take_whom_they_should(form: str, data: Any, target: str) -> None:
    assert takes(form, data, target, HEADER)


PERCENT = {"Type": "cookie", "Name": "u", "Operator": "deterministic_proportional_steaming_division", "Rate": 0}
TO_BASELINE = {**TO_X, "route": [{"destination": {"host": "reviews"}}]}
EVERYBODY = {"route": [{"destination": {"host": "reviews"}}]}


@pytest.mark.parametrize(
    ("form", "data", "target", "headers"),
    [
        pytest.param("mse", mse({"RestItems": [PERCENT]}), "/", [("cookie", "u=")], id="a share by its long name"),
        pytest.param("mse", mse({"enable": False}), "/", HEADER, id="a rule that is switched off"),
        pytest.param("mse", mse({"RestItems": []}), "/", [], id="a rule for nobody"),
        pytest.param(
            "mse",
            {"Name": "l", "Tag": "t", "GatewaySwimmingLaneRouteJson": {"RouteIdList": [1], "Conditions": [ITEM]}},
            "/",
            HEADER,
            id="routes of a cloud gateway",
        ),
        pytest.param(
            "mse", {"Group": {"Name": "g", "Paths": ["/A"]}, "Lanes": [mse({})]}, "/other", HEADER, id="a group's paths"
        ),
        pytest.param("polaris", polaris("EXACT", "b", enable=None), "/", HEADER, id="enable left out"),
        pytest.param("polaris", polaris("NOT_EQUALS", "x", "QUERY"), "/?a=", [], id="an empty value"),
        pytest.param("polaris", polaris("RANGE", "1~3"), "/", [("a", "1.5")], id="a fraction"),
        pytest.param("polaris", polaris("EXACT", "10.0.0.0/8", "CALLER_IP"), "/", [], id="a network is a text"),
        pytest.param("polaris", polaris("EXACT", ""), "/", [("a", "")], id="an empty text"),
        pytest.param("polaris", polaris("EXACT", "b", entries=[]), "/", HEADER, id="no entries"),
        pytest.param("istio", istio({**TO_X, "redirect": {"uri": "/y"}}), "/x", HEADER, id="redirected before"),
        pytest.param("istio", istio(TO_BASELINE), "/x", HEADER, id="led to the baseline before"),
        pytest.param("istio", istio(EVERYBODY), "/", HEADER, id="after the route for everybody"),
        pytest.param("istio", istio(hosts=["shop.example"], gateways=["g"]), "/", HEADER, id="another host"),
    ],
)  # fmt: skip
def test_who_is_kept_off_there_is_kept_off_here(
    form: str, data: Any, target: str, headers: list[tuple[str, str]]
) -> None:
    assert not takes(form, data, target, headers)


# What each side's own comparisons take, in our words: an import of an export takes nothing that the export did not.
TESTS = st.sampled_from(
    [{"equals": "x"}, {"equals": "X", "ignore_case": True}, {"in": ["x", "y"]}, {"not_equals": "x"}, {"prefix": "x"},
     {"regex": "x+"}, {"exists": True}, {"range": [1, 3]}, {"suffix": "x"}, {"percent": 50}]
)  # fmt: skip
LEAVES = st.builds(
    lambda source, name, test: {source: name, **test},
    st.sampled_from(["param", "header", "cookie"]),
    st.sampled_from(["a", "b"]),
    TESTS,
)
MATCHES = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.lists(inner, min_size=1, max_size=2).map(lambda items: {"all": items}),
        st.lists(inner, min_size=1, max_size=2).map(lambda items: {"any": items}),
        inner.map(lambda item: {"not": item}),
    ),
    max_leaves=4,
)
VALUES = st.sampled_from(["", "x", "X", "xx", "y", "2"])
PAIRS = st.dictionaries(st.sampled_from(["a", "b"]), VALUES)


@examples(50)
@given(
    st.sampled_from(FORMATS),
    st.lists(MATCHES, min_size=1, max_size=2),
    st.sampled_from(["all", "any"]),
    PAIRS,
    PAIRS,
    PAIRS,
)
def test_a_round_trip_never_makes_a_lane_wider(
    form: str, match: list[Any], mode: str, params: dict[str, str], headers: dict[str, str], cookies: dict[str, str]
) -> None:
    try:
        lane = {"name": "l", "tag": "t", "match": match, "match_mode": mode}
        before = LaneGroup.model_validate({"name": "g", "services": ["s"], "lanes": [lane]})
    except ValidationError:
        return
    after = there_and_back(form, before)
    target = "/?" + "&".join(f"{name}={value}" for name, value in params.items())
    fields = [*headers.items(), *([("Cookie", "; ".join(f"{n}={v}" for n, v in cookies.items()))] if cookies else [])]
    request = asked("GET", target, fields)
    took = compiled([before]).match(request) is not None
    # Shares are drawn anew where a group has another name: only whether the rest of the lane holds is compared.
    if "percent" in json.dumps(match):
        return
    takes = compiled(list(after)).match(request) is not None
    assert took or not takes
    if any(item.lanes for item in after):
        assert took == takes
