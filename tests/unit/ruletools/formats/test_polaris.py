"""Rules of Polaris: read as Polaris matches, closed where they cannot be said."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.rules.model import LaneGroup
from gateway.ruletools.formats import Imported, export_rules, import_rules
from gateway.ruletools.formats.drafts import EVERYBODY, NEVER
from tests.support.formats import GRAY, MANY, group, match_of, only_lane, places


class TestPolaris:
    def rule(self, *arguments: dict[str, Any], **more: Any) -> dict[str, Any]:
        match = {"arguments": list(arguments), "match_mode": "AND"}
        base = {"name": "gray", "default_label_value": "gray", "enable": True, "match_mode": "PERMISSIVE"}
        return {**base, "traffic_match_rule": match, **more}

    def lane_group(self, *rules: dict[str, Any], **more: Any) -> dict[str, Any]:
        entry = {"type": "polarismesh.cn/service", "selector": {"namespace": "default", "service": "gw"}}
        base = {"name": "shop", "entries": [entry], "destinations": [{"namespace": "default", "service": "a"}]}
        return {**base, "rules": list(rules), **more}

    def argument(self, text: str = "x", kind: str = "EXACT", source: str = "HEADER", **more: Any) -> dict[str, Any]:
        return {"type": source, "key": "k", "value": {"type": kind, "value": text, **more}}

    def test_a_lane_group_in_camel_case(self) -> None:
        data = {
            "name": "shop",
            "entries": [{"type": "polarismesh.cn/gateway/spring-cloud-gateway", "selector": {"service": "gw"}}],
            "destinations": [{"namespace": "default", "service": "a"}],
            "rules": [
                {"name": "b", "defaultLabelValue": "b", "enable": True, "priority": 2, "matchMode": "STRICT"},
                {
                    "name": "a",
                    "groupName": "shop",
                    "defaultLabelValue": "a",
                    "enable": True,
                    "matchMode": 1,
                    "priority": 1,
                    "trafficMatchRule": {
                        "matchMode": "OR",
                        "arguments": [self.argument(), self.argument("a,b", "IN", "QUERY")],
                    },
                    "trafficGray": {"mode": "PERCENTAGE", "percentage": {"percent": 100}},
                },
            ],
        }
        match = [
            {"header": "k", "equals": "x", "ignore_case": True},
            {"param": "k", "in": ["a", "b"], "ignore_case": True},
        ]
        lanes = [
            {"name": "a", "tag": "a", "match_mode": "any", "match": match},
            {"name": "b", "tag": "b", "strict": True, "match": [EVERYBODY]},
        ]
        expected = LaneGroup.model_validate({"name": "shop", "entry": ["gw"], "services": ["a"], "lanes": lanes})
        assert import_rules("polaris", data) == Imported((expected,), ())

    @pytest.mark.parametrize(
        ("argument", "expected"),
        [
            (("x", "NOT_EQUALS"), {"header": "k", "not_in": ["", "x"], "ignore_case": True}),
            (("x,y", "NOT_IN"), {"header": "k", "not_in": ["", "x", "y"], "ignore_case": True}),
            (("GET", "EXACT", "METHOD"), {"method": {"equals": "GET"}}),
            (("10.0.0.1", "IN", "CALLER_IP"), {"client_ip": {"in": ["10.0.0.1"]}}),
            (("/A", "EXACT", "PATH"), {"path": {"equals": "/A", "ignore_case": True}}),
            (("*", "NOT_IN", "COOKIE"), {"cookie": "k", "exists": True}),
            (("v[12]", "REGEX"), {"header": "k", "regex": "(?s:.*)(?:v[12])(?s:.*)"}),
            (("^v[12]$", "REGEX"), {"header": "k", "regex": "v[12]"}),
            (
                ("1~3", "RANGE"),
                {"all": [{"header": "k", "range": [1.0, 3.0]}, {"header": "k", "regex": "[+-]?[0-9]+"}]},
            ),
        ],
        ids=str,
    )
    def test_operators(self, argument: tuple[str, ...], expected: dict[str, Any]) -> None:
        found = import_rules("polaris", self.lane_group(self.rule(self.argument(*argument))))
        assert (match_of(only_lane(found)), found.losses) == ([expected], ())

    @pytest.mark.parametrize(
        ("argument", "place"),
        [
            (("x", "EXACT", "CALLER_METADATA"), "type"),
            (("x", "EXACT", "CUSTOM"), "type"),
            (("many", "RANGE"), "value.value"),
            (("3~1", "RANGE"), "value.value"),
            (("(?=x)", "REGEX"), "value.value"),
            (("", "EXACT"), "value.value"),
            (("10.0.0.0/8", "EXACT", "CALLER_IP"), "value.value"),
            (("1", "REGEX", "CALLER_IP"), "value.value"),
        ],
        ids=str,
    )
    def test_a_condition_that_cannot_be_said_closes_the_lane(self, argument: tuple[str, ...], place: str) -> None:
        found = import_rules("polaris", self.lane_group(self.rule(self.argument(*argument))))
        lane = only_lane(found)
        assert (lane.enabled, lane.match) == (False, [NEVER])
        assert places(found) == [f"rules.0.traffic_match_rule.arguments.0.{place}"]

    def test_a_variable_closes_the_lane(self) -> None:
        lane = only_lane(import_rules("polaris", self.lane_group(self.rule(self.argument(value_type="VARIABLE")))))
        assert (lane.enabled, lane.match) == (False, [NEVER])

    @pytest.mark.parametrize(
        ("gray", "place"),
        [
            ({"mode": "PERCENTAGE", "percentage": {"percent": 30}}, "rules.0.traffic_gray.percentage"),
            ({"mode": "WARMUP", "warmup": {"interval_second": 60}}, "rules.0.traffic_gray.warmup"),
        ],
        ids=str,
    )
    def test_a_draw_for_each_request_closes_the_lane(self, gray: dict[str, Any], place: str) -> None:
        found = import_rules("polaris", self.lane_group(self.rule(traffic_gray=gray)))
        lane = only_lane(found)
        assert (lane.enabled, lane.match) == (False, [EVERYBODY, NEVER])
        assert places(found) == [place]

    def test_what_is_not_asked_for_is_listed(self) -> None:
        rule = self.rule(default_label_value="gray,blue", label_key="env", description="d", id="1")
        found = import_rules("polaris", self.lane_group(rule, revision="r"))
        assert only_lane(found).tag == "gray"
        rules = [f"rules.0.{key}" for key in ("default_label_value", "label_key", "description")]
        assert places(found) == [*rules, "revision"]

    def test_missing_switches_have_the_defaults_of_protobuf(self) -> None:
        lane = only_lane(import_rules("polaris", self.lane_group({"name": "l", "default_label_value": "t"})))
        assert (lane.enabled, lane.strict) == (False, True)

    def test_a_group_without_places_takes_nobody(self) -> None:
        found = import_rules("polaris", {"name": "shop", "rules": [self.rule()]})
        assert (found.groups[0].entry, found.groups[0].enabled) == ([], False)
        assert places(found) == ["entries", "destinations"]

    def test_labels_of_places_close_the_group(self) -> None:
        data = self.lane_group(self.rule(), destinations=[{"service": "a", "labels": {"env": {"value": "x"}}}])
        found = import_rules("polaris", data)
        assert not found.groups[0].enabled
        assert places(found) == ["destinations.0.labels"]

    def test_equal_priorities_go_by_age(self) -> None:
        rules = [self.rule(name=name, priority=1, ctime=ctime) for name, ctime in (("b", "2024-02"), ("a", "2024-01"))]
        assert [lane.name for lane in import_rules("polaris", self.lane_group(*rules)).groups[0].lanes] == ["a", "b"]

    @pytest.mark.parametrize(
        "match",
        [
            {"header": "a", "equals": "*", "ignore_case": True},
            {"header": "a", "in": ["x", "y,z"], "ignore_case": True},
            {"header": "a", "prefix": "x", "ignore_case": True},
            {"client_ip": {"equals": "10.0.0.0/8"}},
            {"host": {"equals": "x"}},
            {"header": "a", "gt": 3},
            {"header": "a", "range": [1.5, 3]},
            {"cookie": "a", "percent": 5},
            {"header": "a", "absent": True},
            {"any": [GRAY, GRAY]},
        ],
        ids=str,
    )
    def test_what_polaris_cannot_say_is_left_out(self, match: dict[str, Any]) -> None:
        found = export_rules("polaris", [group({"match": [GRAY, match]}, {})])
        assert [rule["name"] for rule in found.documents[0]["rules"]] == ["l1"]
        assert "shop/l0 match.1" in places(found)

    def test_narrower_comparisons_are_listed(self) -> None:
        match = [{"header": "a", "not_equals": "x"}, {"header": "b", "range": [1, 2]}]
        found = export_rules("polaris", [group({"match": match})])
        assert [loss.place for loss in found.losses if "match" in loss.place] == [
            "shop/l0 match.0",
            "shop/l0 match.0",
            "shop/l0 match.1",
        ]

    def test_paths_beside_alternatives_are_left_out(self) -> None:
        found = export_rules("polaris", [group({**MANY, "paths": ["/A"]})])
        assert found.documents[0]["rules"] == []
        assert "shop/l0 paths" in places(found)
