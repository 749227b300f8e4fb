"""Import and export: what can be said on both sides survives a round trip, what cannot is listed, nothing becomes wider."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from gateway.cli import main
from gateway.http.request import Request
from gateway.rules.compile import compile_rules
from gateway.rules.formats import FORMATS, FormatError, export_rules, import_rules
from gateway.rules.model import LaneGroup
from gateway.rules.ruleset import RuleSet
from tests.support.rules import around, rule_set


def group(*lanes: str, services: tuple[str, ...] = ("a", "b"), **more: Any) -> LaneGroup:
    read = [yaml.load(text, Loader=yaml.BaseLoader) for text in lanes]
    named = [{"name": f"l{number}", "tag": f"t{number}", **lane} for number, lane in enumerate(read)]
    return LaneGroup.model_validate({"name": "shop", "services": list(services), "lanes": named, **more})


def canonical(groups: tuple[LaneGroup, ...] | list[LaneGroup]) -> list[dict[str, Any]]:
    return [item.model_dump(by_alias=True, exclude_defaults=True, exclude_none=True) for item in groups]


SAYABLE = {
    "mse": [
        "{match: [{param: group, equals: gray}, {header: x-user, in: [alice, bob]}]}",
        "{match_mode: any, match: [{cookie: a, not_equals: x}, {header: b, regex: 'v[0-9]+'}, {param: c, prefix: v}]}",
        "{match: [{path: {in: [/A, /B]}}, {cookie: uid, equals: x}]}",
        "{match: [{path: {in: [/A]}}, {any: [{param: a, equals: x}, {param: b, equals: y}]}]}",
        "{match: [{path: {prefix: /}}], enabled: false}",
    ],
    "polaris": [
        "{match: [{param: group, equals: gray}, {header: x-user, in: [alice, b.ob]}]}",
        "{match: [{header: a, equals: x, ignore_case: true}, {cookie: b, not_in: [x, y], ignore_case: true}]}",
        "{match_mode: any, strict: true, match: [{path: {regex: '^/A/[a-z]+$'}}, {method: {in: [GET, HEAD]}}]}",
        "{match: [{header: v, range: [3, 17]}, {param: p, exists: true}, {client_ip: {equals: 10.0.0.1}}]}",
        "{match: [{path: {prefix: /}}], enabled: false}",
    ],
    "istio": [
        "{match: [{header: x-user, prefix: al}, {param: group, equals: gray}]}",
        "{match_mode: any, match: [{header: a, exists: true}, {all: [{method: {equals: GET}}, {header: b, regex: 'v[0-9]+'}]}]}",
        "{match: [{path: {prefix: /A/}}, {host: {equals: shop.example}}, {cookie: user, equals: a.lice}]}",
        "{match: [{not: {header: x-bot, exists: true}}]}",
        "{match: [{path: {prefix: /}}]}",
    ],
}
CASES = [(form, lane) for form, lanes in SAYABLE.items() for lane in lanes]


@pytest.mark.parametrize(("form", "lane"), CASES)
def test_what_both_sides_can_say_survives_a_round_trip(form: str, lane: str) -> None:
    services = () if form == "mse" else ("a", "b")
    before = group(lane, services=services)
    exported = export_rules(form, [before])
    assert exported.losses == ()
    documents = json.loads(json.dumps(exported.documents))
    imported = import_rules(form, documents)
    assert imported.losses == ()
    # Istio names a group for each service; its name is not kept.
    assert canonical([imported.groups[0].model_copy(update={"name": "shop"})]) == canonical([before])


UNSAYABLE = [
    "{match: [{header: a, segment: s}]}",
    "{match: [{jwt: sub, equals: x}]}",
    "{match: [{body: /a, equals: x}]}",
    "{match: [{time: {days: [mon]}}]}",
    "{match: [{param: a, contains: x}]}",
    "{match: [{not: {any: [{param: a, equals: x}, {cookie: b, equals: y}]}}]}",
    "{match: [{param: n, gt: 3}]}",
    "{match: [{client_ip: {in: [10.0.0.0/8]}}]}",
    "{match: [{cookie: v, percent: 5, issue: 30d}]}",
]


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("lane", UNSAYABLE)
def test_a_lane_that_cannot_be_said_is_left_out_and_listed(form: str, lane: str) -> None:
    sayable = "{match: [{header: h, regex: x}]}"
    exported = export_rules(form, [group(sayable, lane)])
    assert "l1" not in json.dumps(exported.documents)
    assert "t1" not in json.dumps(exported.documents)
    assert [loss.place for loss in exported.losses if "the lane is left out" in loss.message] == ["shop/l1"]


@pytest.mark.parametrize("form", FORMATS)
def test_what_lanes_and_groups_say_besides_is_listed(form: str) -> None:
    lane = "{match: [{header: h, regex: x}], owner: me, expires: 2027-03-01, debug: true}"
    losses = export_rules(form, [group(lane, order="3", baseline="closed_lanes_rejoin", entry=["e"])]).losses
    places = {loss.place for loss in losses}
    assert {"shop/l0 owner", "shop/l0 expires", "shop/l0 debug", "shop order", "shop baseline", "shop entry"} <= places


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


@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from(list(FORMATS)),
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
        before = LaneGroup.model_validate(
            {"name": "g", "services": ["s"], "lanes": [{"name": "l", "tag": "t", "match": match, "match_mode": mode}]}
        )
    except ValidationError:
        return
    after = import_rules(form, json.loads(json.dumps(export_rules(form, [before]).documents))).groups
    target = "/?" + "&".join(f"{name}={value}" for name, value in params.items())
    fields = [*headers.items(), *([("Cookie", "; ".join(f"{n}={v}" for n, v in cookies.items()))] if cookies else [])]
    request = Request.build("GET", target, fields)
    took = compile_rules(rule_set([before]), around()).match(request) is not None
    # Shares are drawn anew where a group has another name: only whether the rest of the lane holds is compared.
    if "percent" in json.dumps(match):
        return
    takes = compile_rules(RuleSet.of(list(after)), around()).match(request) is not None
    assert took or not takes
    if any(item.lanes for item in after):
        assert took == takes


def test_the_lane_of_the_edas_documentation() -> None:
    rules = (
        '[{"priority":1,"path":"/traffic","condition":"AND","restItems":[{"type":"header","name":"testheader",'
        '"value":"testvalue","cond":"==","operator":"rawvalue"}]}]'
    )
    imported = import_rules("mse", {"Name": "gray", "Tag": "gray", "Enable": True, "EntryRules": rules})
    [lane] = imported.groups[0].lanes
    assert imported.losses == ()
    assert (lane.tag, lane.enabled) == ("gray", True)
    assert canonical(list(imported.groups))[0]["lanes"][0]["match"] == [
        {"path": {"in": ["/traffic"]}},
        {"header": "testheader", "equals": "testvalue"},
    ]


@pytest.mark.parametrize(
    ("lane", "place"),
    [
        (
            {"EntryRules": [{"RestItems": [{"Type": "cookie", "Name": "u", "Operator": "mod", "Divisor": 100}]}]},
            "0.EntryRules.0.RestItems.0",
        ),
        ({"EntryRules": [{"RestItems": [{"Type": "body", "Name": "u", "Value": "x"}]}]}, "0.EntryRules.0.RestItems.0"),
        (
            {"EntryRules": [{"RestItems": [{"Type": "param", "Name": "u", "Cond": "<>", "Value": "x"}]}]},
            "0.EntryRules.0.RestItems.0",
        ),
        (
            {"GatewaySwimmingLaneRouteJson": '{"CanaryModel": 1, "Percentage": 5}'},
            "0.GatewaySwimmingLaneRouteJson.Percentage",
        ),
        ({}, "0"),
    ],
)
def test_what_mse_says_and_we_cannot_is_imported_closed(lane: dict[str, Any], place: str) -> None:
    imported = import_rules("mse", {"Name": "gray", "Tag": "gray", **lane})
    assert place in [loss.place for loss in imported.losses]
    assert [item.enabled for item in imported.groups[0].lanes] == [False]


def test_a_share_goes_to_mse_and_back_and_is_told_to_draw_others() -> None:
    exported = export_rules("mse", [group("{match: [{cookie: uid, percent: 10}]}", services=())])
    assert [loss.place for loss in exported.losses] == ["shop/l0 percent"]
    imported = import_rules("mse", json.loads(json.dumps(exported.documents)))
    assert imported.groups[0].lanes[0].match[0].percent == 10
    assert ["draw" in loss.message for loss in imported.losses] == [True]


def test_entry_rules_of_mse_are_alternatives_by_priority() -> None:
    rules = [
        {
            "Priority": 2,
            "Condition": "OR",
            "RestItems": [{"Type": "param", "Name": "a", "Cond": "in", "NameList": ["x", "y"]}],
        },
        {"Priority": 1, "Paths": ["/p"], "Condition": "AND", "RestItems": []},
    ]
    conditions = [{"Type": "header", "Name": "h", "Cond": cond, "Value": "v"} for cond in ("PRE", "EQUAL", "ERGULAR")]
    bundle = {
        "Group": {"Name": "shop", "AppIds": "1,2"},
        "Lanes": [
            {"Name": "gray", "Tag": "gray", "EntryRules": rules},
            {
                "Name": "gw",
                "Tag": "blue",
                "GatewaySwimmingLaneRouteJson": {"Conditions": conditions, "RouteIdList": [7]},
            },
        ],
    }
    imported = import_rules("mse", bundle)
    [found] = imported.groups
    assert [(lane.name, lane.tag) for lane in found.lanes] == [("gw", "blue"), ("gray", "gray"), ("gray-2", "gray")]
    assert [leaf.test.operator for leaf in found.lanes[0].leaves()] == ["prefix", "equals", "regex"]
    assert {loss.place for loss in imported.losses} == {"Group.AppIds", "1.GatewaySwimmingLaneRouteJson.RouteIdList"}


def test_polaris_reads_as_polaris_matches() -> None:
    def argument(kind: str, value: str, **more: Any) -> dict[str, Any]:
        return {"type": "HEADER", "key": "h", "value": {"type": kind, "value": {"value": value}, **more}}

    def lane(**more: Any) -> dict[str, Any]:
        return {"name": "gray", "defaultLabelValue": "gray", "enable": True, "match_mode": 1, **more}

    def takes(argument: dict[str, Any], value: str) -> bool:
        data = {"name": "g", "rules": [lane(trafficMatchRule={"arguments": [argument]})]}
        rules = compile_rules(RuleSet.of(list(import_rules("polaris", data).groups)), around())
        return rules.match(Request.build("GET", "/", [("h", value)])) is not None

    assert takes(argument("EXACT", "Gray"), "gray")
    assert takes(argument("REGEX", "ra"), "gray")
    assert not takes(argument("REGEX", "^ra"), "gray")
    assert takes(argument("IN", "a, gray"), "GRAY")
    assert not takes(argument("NOT_IN", "a,gray"), "Gray")
    assert takes(argument("RANGE", "1~3"), "3")
    assert takes(argument("EXACT", "*"), "anything")
    data = {
        "name": "g",
        "entries": [{"type": "polarismesh.cn/gateway"}],
        "destinations": [{"namespace": "default", "service": "a"}],
        "rules": [
            lane(name="late", priority=2),
            lane(name="early", priority=1, match_mode="STRICT", default_label_value="gray,blue"),
            lane(name="share", priority=3, traffic_gray={"mode": "PERCENTAGE", "percentage": {"percent": 20}}),
            lane(name="custom", priority=4, traffic_match_rule={"arguments": [{"type": "CUSTOM", "key": "k"}]}),
        ],
    }
    imported = import_rules("polaris", data)
    [group] = imported.groups
    assert [(lane.name, lane.enabled, lane.strict) for lane in group.lanes] == [
        ("early", True, True),
        ("late", True, False),
        ("share", False, False),
        ("custom", False, False),
    ]
    assert group.services == ["a"]
    assert [loss.place for loss in imported.losses] == [
        "rules.1.default_label_value",
        "rules.2.traffic_gray",
        "rules.3.traffic_match_rule.arguments.0",
        "entries.0",
    ]


def test_istio_subsets_become_tags_and_weights_are_left_out() -> None:
    documents = list(
        yaml.safe_load_all("""
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: reviews}
spec:
  hosts: [reviews]
  http:
    - match:
        - headers: {end-user: {exact: jason}, cookie: {regex: '^(.*?;)?(user=jason)(;.*)?$'}}
        - queryParams: {group: {exact: gray}}
          sourceLabels: {app: x}
      route: [{destination: {host: reviews, subset: v2}}]
      timeout: 5s
    - match: [{uri: {prefix: /beta}, ignoreUriCase: true}]
      route: [{destination: {host: reviews.shop.svc.cluster.local, subset: v3}}]
    - match: [{uri: {prefix: /split}}]
      route: [{destination: {host: reviews, subset: v2}, weight: 10}, {destination: {host: reviews, subset: v3}, weight: 90}]
    - route: [{destination: {host: reviews, subset: v1}}]
---
kind: DestinationRule
spec:
  host: reviews
  subsets: [{name: v2, labels: {version: gray}}, {name: v3, labels: {app: y}}]
""")
    )
    imported = import_rules("istio", documents)
    [group] = imported.groups
    assert [(lane.tag, lane.enabled) for lane in group.lanes] == [("gray", False), ("v3", True)]
    assert canonical([group])[0]["lanes"][0]["match"] == [
        {"header": "end-user", "equals": "jason"},
        {"cookie": "user", "equals": "jason"},
    ]
    assert group.services == ["reviews"]
    assert [(loss.place, loss.message.partition(" ")[0]) for loss in imported.losses] == [
        ("0.spec.http.0.match.1", "sourceLabels"),
        ("0.spec.http.0.timeout", "timeout"),
        ("0.spec.http.2.route", "a"),
    ]


@pytest.mark.parametrize(
    ("form", "data", "text"),
    [
        ("mse", 3, "an object is expected, found 3"),
        ("mse", {"Name": "x", "EntryRules": "{"}, "EntryRules: JSON is expected"),
        ("mse", {"Name": "x", "EntryRules": 3}, "EntryRules: a list is expected"),
        ("mse", {"Name": "x", "EntryRules": [{"Priority": "high"}]}, "this is not what mse writes"),
        ("polaris", {"rules": {}}, "rules: a list is expected"),
        ("polaris", [{"rules": [3]}], "0.rules.0: an object is expected"),
        ("istio", {"kind": "Pod"}, "kind: VirtualService or DestinationRule is expected, found 'Pod'"),
        ("istio", [{"kind": "VirtualService", "spec": {"http": 3}}], "0.spec.http: a list is expected"),
    ],
)
def test_what_is_not_of_the_format_is_refused_by_name(form: str, data: Any, text: str) -> None:
    with pytest.raises(FormatError, match=text.replace(".", r"\.")):
        import_rules(form, data)


def test_the_commands(tmp_path: Path) -> None:
    rules = tmp_path / "rules.yaml"
    rules.write_text(
        "lane_groups: [{name: g, services: [a], lanes: [{name: l, tag: t, match: [{param: p, equals: x}]}, {name: m, tag: u, match: [{param: p, gt: 3}]}]}]"
    )
    for form in FORMATS:
        exported = CliRunner().invoke(main, ["rules", "export", form, str(rules)])
        assert exported.exit_code == 0
        assert "lost: g/m: the lane is left out" in exported.stderr
        assert CliRunner().invoke(main, ["rules", "export", form, str(rules), "--strict"]).exit_code == 1
        imported = CliRunner().invoke(main, ["rules", "import", form, "-"], input=exported.stdout)
        assert imported.exit_code == 0, imported.output
        (tmp_path / "back.yaml").write_text(imported.stdout)
        checked = CliRunner().invoke(main, ["check", str(tmp_path / "back.yaml")])
        assert checked.exit_code == 0, checked.output
        [lane] = yaml.safe_load(imported.stdout)["lane_groups"][0]["lanes"]
        assert (lane["name"], lane["match"]) == ("l", [{"param": "p", "equals": "x"}])
    broken = CliRunner().invoke(main, ["rules", "import", "mse", "-"], input="[3]")
    assert (broken.exit_code, broken.stderr) == (1, "0: an object is expected, found 3\n")
