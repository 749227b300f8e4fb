"""Rules of MSE: read the narrow way, closed where they cannot be said, exported only where MSE says the same."""

from __future__ import annotations

import json
from typing import Any

import pytest

from gateway.rules.model import LaneGroup
from gateway.ruletools.formats import Imported, Loss, export_rules, import_rules
from gateway.ruletools.formats.drafts import NEVER
from tests.support.formats import GRAY, group, match_of, only_lane, places


class TestMse:
    RULE = '[{"priority":1,"path":"/traffic","condition":"AND","restItems":[{"type":"header","name":"testheader","value":"testvalue","cond":"==","operator":"rawvalue"}]}]'

    def lane(self, *items: dict[str, Any], **more: Any) -> dict[str, Any]:
        rule = {"Paths": [], "Condition": "AND", "RestItems": list(items)}
        return {"Name": "gray", "Tag": "gray", "EntryRules": [rule], **more}

    def test_the_example_of_edas(self) -> None:
        found = import_rules("mse", {"Name": "test1", "Tag": "tag", "GroupId": 95, "EntryRules": self.RULE})
        assert found == Imported(
            (
                LaneGroup.model_validate(
                    {
                        "name": "mse-95",
                        "lanes": [
                            {
                                "name": "test1",
                                "tag": "tag",
                                "paths": ["/traffic"],
                                "match": [{"header": "testheader", "equals": "testvalue"}],
                            }
                        ],
                    }
                ),
            ),
            (),
        )

    def test_a_group_limits_its_lanes(self) -> None:
        lane = self.lane({"Type": "header", "Name": "a", "Cond": "==", "Value": "b"})
        lane["EntryRules"][0]["Paths"] = ["/A/x", "/B"]
        data = {
            "Group": {"Name": "shop", "EntryApp": "gw", "AppIds": "a, b", "Status": 0, "Paths": ["/A"]},
            "Lanes": [lane],
        }
        (found,) = import_rules("mse", data).groups
        assert (found.entry, found.services, found.enabled) == (["gw"], ["a", "b"], False)
        assert found.lanes[0].paths == ["/A/x"]

    def test_several_rules_are_alternatives(self) -> None:
        item = {"Type": "header", "Name": "a", "Cond": "==", "Value": "b"}
        rules = [{"Paths": ["/A"], "RestItems": [item, item]}, {"Paths": ["/B"], "RestItems": [item]}]
        lane = only_lane(import_rules("mse", {"Name": "gray", "Tag": "gray", "EntryRules": rules}))
        under_a = {"any": [{"path": {"equals": "/A"}}, {"path": {"prefix": "/A/"}}]}
        under_b = {"any": [{"path": {"equals": "/B"}}, {"path": {"prefix": "/B/"}}]}
        leaf = {"header": "a", "equals": "b"}
        assert (lane.match_mode, lane.paths) == ("any", [])
        assert match_of(lane) == [{"all": [under_a, {"all": [leaf, leaf]}]}, {"all": [under_b, leaf]}]

    def test_a_gateways_route(self) -> None:
        conditions = [
            {"Type": "header", "Name": "a", "Cond": "PRE", "Value": "x"},
            {"Type": "param", "Name": "b", "Cond": "EQUAL", "Value": "y"},
            {"Type": "header", "Name": "c", "Cond": "ERGULAR", "Value": "^v[0-9]$"},
        ]
        route = json.dumps({"CanaryModel": 0, "Condition": "OR", "Conditions": conditions})
        lane = only_lane(import_rules("mse", {"Name": "g", "Tag": "g", "GatewaySwimmingLaneRouteJson": route}))
        assert lane.match_mode == "any"
        assert match_of(lane) == [
            {"header": "a", "prefix": "x"},
            {"param": "b", "equals": "y"},
            {"header": "c", "regex": "v[0-9]"},
        ]
        assert lane.enabled

    @pytest.mark.parametrize(
        ("item", "expected"),
        [
            ({"Cond": "!=", "Value": "x"}, {"not_equals": "x"}),
            ({"Cond": "in", "NameList": ["x", "y"]}, {"in": ["x", "y"]}),
            ({"Operator": "list", "NameList": ["x"]}, {"in": ["x"]}),
            ({"Cond": "==", "Datum": "x"}, {"equals": "x"}),
            ({"Operator": "percent", "Rate": 30}, {"percent": 30.0}),
            ({"Cond": ">=", "Value": "3"}, {"gte": 3.0}),
        ],
        ids=str,
    )
    def test_operators(self, item: dict[str, Any], expected: dict[str, Any]) -> None:
        lane = only_lane(import_rules("mse", self.lane({"Type": "header", "Name": "a", **item})))
        assert lane.enabled
        assert match_of(lane) == [{"header": "a", **expected}]

    @pytest.mark.parametrize(
        ("item", "place"),
        [
            ({"Operator": "mod", "Divisor": 10, "Remainder": 3}, "Operator"),
            ({"Cond": "~", "Value": "x"}, "Cond"),
            ({"Type": "body", "Value": "x"}, "Type"),
            ({"Cond": "regex", "Value": "(?=x)"}, "Value"),
            ({"Cond": ">", "Value": "many"}, "Value"),
            ({"Operator": "percent", "Rate": 130}, "Rate"),
        ],
        ids=str,
    )
    def test_a_condition_that_cannot_be_said_closes_the_lane(self, item: dict[str, Any], place: str) -> None:
        found = import_rules("mse", self.lane({"Type": "header", "Name": "a", "Cond": "=="} | item))
        lane = only_lane(found)
        assert (lane.enabled, lane.match) == (False, [NEVER])
        assert f"EntryRules.0.RestItems.0.{place}" in places(found)
        assert any("closed" in loss.message for loss in found.losses)

    ITEM = {"Type": "header", "Name": "a", "Cond": "==", "Value": "b"}

    @pytest.mark.parametrize(
        ("more", "place"),
        [
            ({"EnableRules": False}, "EnableRules"),
            (
                {"GatewaySwimmingLaneRouteJson": {"CanaryModel": 1, "Percentage": 20}},
                "GatewaySwimmingLaneRouteJson.Percentage",
            ),
            (
                {"GatewaySwimmingLaneRouteJson": {"RouteIdList": [1], "Conditions": [ITEM]}},
                "GatewaySwimmingLaneRouteJson.RouteIdList",
            ),
            ({"EntryRules": []}, ""),
            ({"EntryRules": [{"RestItems": []}]}, "EntryRules.0"),
            ({"EntryRules": [{"Paths": ["/a/*"], "RestItems": [ITEM]}]}, "EntryRules.0.Paths"),
        ],
        ids=str,
    )
    def test_a_limit_that_cannot_be_said_closes_the_lane(self, more: dict[str, Any], place: str) -> None:
        found = import_rules("mse", self.lane(self.ITEM, **more))
        lane = only_lane(found)
        assert not lane.enabled
        assert NEVER in lane.leaves()
        assert place in places(found)

    def test_what_is_not_asked_for_is_listed(self) -> None:
        found = import_rules("mse", self.lane(self.ITEM, Id=7, AppInfos=[{"appId": "x"}], MessageQueueGrayEnable=False))
        assert found.losses == (Loss("Id", "Id, AppInfos: no counterpart; left out"),)

    def test_shares_that_do_not_fit_together(self) -> None:
        share = {"Type": "cookie", "Name": "uid", "Operator": "percent"}
        lanes = [self.lane(share | {"Rate": rate}, Name=name) for name, rate in (("a", 60), ("b", 50))]
        found = import_rules("mse", lanes)
        assert [lane.enabled for lane in found.groups[0].lanes] == [True, False]
        assert "b" in places(found)

    def test_shares_that_would_meet_are_written_in_spans(self) -> None:
        share = {"Type": "cookie", "Name": "uid", "Operator": "percent"}
        lanes = [self.lane(share | {"Rate": rate}, Name=name) for name, rate in (("a", 60), ("b", 30))]
        found = import_rules("mse", lanes)
        assert [lane.enabled for lane in found.groups[0].lanes] == [True, True]
        assert [leaf.percent for lane in found.groups[0].lanes for leaf in lane.leaves()] == [60.0, ["60-90"]]

    def test_priorities_order_lanes(self) -> None:
        lanes = [self.lane(self.ITEM, Name=str(priority)) for priority in (9, 1)]
        for lane, priority in zip(lanes, (9, 1), strict=True):
            lane["EntryRules"][0]["Priority"] = priority
        assert [lane.name for lane in import_rules("mse", lanes).groups[0].lanes] == ["1", "9"]

    def test_foreign_names_and_tags(self) -> None:
        lanes = [self.lane(self.ITEM, Name="灰度 1"), self.lane(self.ITEM, Name="1"), self.lane(self.ITEM, Tag="base")]
        found = import_rules("mse", lanes)
        assert [lane.name for lane in found.groups[0].lanes] == ["1", "1-2"]
        assert places(found) == ["0", "1", "2.tag"]

    @pytest.mark.parametrize(
        "match",
        [
            {"header": "a", "equals": "x", "ignore_case": True},
            {"path": {"equals": "/x"}},
            {"header": "a", "segment": "vips"},
            {"header": "a", "not_in": ["x", "y"]},
            {"header": "a", "absent": True},
            {"cookie": "a", "percent": 1.5},
            {"cookie": "a", "percent": ["0-5"]},
            {"cookie": "a", "percent": 5, "issue": "30d"},
            {"not": {"header": "a", "equals": "x"}},
            {"all": [{"header": "a", "equals": "x"}]},
        ],
        ids=str,
    )
    def test_what_mse_cannot_say_is_left_out(self, match: dict[str, Any]) -> None:
        found = export_rules("mse", [group({"match": [GRAY, match]}, {})])
        assert [lane["Name"] for lane in found.documents[0]["Lanes"]] == ["l1"]
        assert "shop/l0 match.1" in places(found)
