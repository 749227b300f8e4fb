"""Rules of Istio: routes in their order, subsets as tags, hosts as conditions."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.rules.model import LaneGroup
from gateway.ruletools.formats import export_rules, import_rules
from gateway.ruletools.formats.drafts import NEVER
from tests.support.formats import GRAY, group, match_of, only_lane, places


class TestIstio:
    RULE = {
        "kind": "DestinationRule",
        "spec": {"host": "reviews", "subsets": [{"name": f"s{n}", "labels": {"version": f"v{n}"}} for n in (1, 2, 3)]},
    }

    def service(self, *routes: dict[str, Any], **spec: Any) -> dict[str, Any]:
        base = {"hosts": ["reviews"], "http": list(routes)}
        return {"kind": "VirtualService", "metadata": {"name": "reviews"}, "spec": {**base, **spec}}

    def route(self, subset: str, *matches: dict[str, Any]) -> dict[str, Any]:
        found: dict[str, Any] = {"route": [{"destination": {"host": "reviews", "subset": subset}}]}
        return {**found, "match": list(matches)} if matches else found

    HEADER = {"headers": {"end-user": {"exact": "jason"}}}

    def test_the_example_of_bookinfo(self) -> None:
        cookie = {"headers": {"cookie": {"regex": "^(.*?;)?(user=jason)(;.*)?$"}}, "uri": {"prefix": "/x"}}
        data = [self.RULE, self.service(self.route("s2", self.HEADER, cookie), self.route("s1"))]
        match = [
            {"header": "end-user", "equals": "jason"},
            {"all": [{"path": {"prefix": "/x"}}, {"cookie": "user", "equals": "jason"}]},
        ]
        lane = {"name": "v2", "tag": "v2", "strict": True, "match_mode": "any", "match": match}
        expected = LaneGroup.model_validate({"name": "reviews", "services": ["reviews"], "lanes": [lane]})
        found = import_rules("istio", data)
        assert found.groups == (expected,)
        assert places(found) == ["1.spec.http.1.route.0"]

    def test_a_subset_without_a_rule_is_its_own_tag(self) -> None:
        found = import_rules("istio", self.service(self.route("gray", self.HEADER)))
        assert only_lane(found).tag == "gray"
        assert places(found) == ["0.spec.http.0.route.0.destination.subset"]

    def test_what_leads_elsewhere_keeps_its_requests(self) -> None:
        elsewhere = {"match": [{"uri": {"exact": "/x"}}], "redirect": {"uri": "/y"}}
        found = import_rules("istio", [self.RULE, self.service(elsewhere, self.route("s2", self.HEADER))])
        assert match_of(only_lane(found)) == [
            {"header": "end-user", "equals": "jason"},
            {"not": {"path": {"equals": "/x"}}},
        ]
        assert places(found) == ["1.spec.http.0.redirect"]

    def test_whom_a_route_elsewhere_takes_must_be_known(self) -> None:
        elsewhere = {"match": [{"port": 80}], "redirect": {"uri": "/y"}}
        lane = only_lane(import_rules("istio", [self.RULE, self.service(elsewhere, self.route("s2", self.HEADER))]))
        assert not lane.enabled

    def test_a_split_by_weight_closes_its_lanes(self) -> None:
        split = {**self.route("s2", self.HEADER)}
        split["route"] = [{"destination": {"host": "reviews", "subset": f"s{n}"}, "weight": 50} for n in (2, 3)]
        found = import_rules("istio", [self.RULE, self.service(split)])
        assert [(lane.tag, lane.enabled) for lane in found.groups[0].lanes] == [("v2", False), ("v3", False)]
        assert places(found) == ["1.spec.http.0.route"]

    @pytest.mark.parametrize(
        ("match", "place"),
        [
            ({"sourceLabels": {"app": "x"}}, "sourceLabels"),
            ({"port": 80}, "port"),
            ({"headers": {"a": {"regex": "["}}}, "headers.a"),
            ({"authority": {"exact": "x:80"}}, "authority"),
        ],
        ids=str,
    )
    def test_a_condition_that_cannot_be_said_closes_the_lane(self, match: dict[str, Any], place: str) -> None:
        found = import_rules("istio", [self.RULE, self.service(self.route("s2", match))])
        lane = only_lane(found)
        assert (lane.enabled, lane.match) == (False, [NEVER])
        assert f"1.spec.http.0.match.0.{place}" in places(found)

    def test_hosts_of_a_gateway_are_a_condition(self) -> None:
        data = self.service(self.route("s2", self.HEADER), hosts=["shop.example", "*.shop.example"], gateways=["gw"])
        found = import_rules("istio", [self.RULE, data])
        hosts = {"any": [{"host": {"equals": "shop.example"}}, {"host": {"suffix": ".shop.example"}}]}
        assert found.groups[0].entry == ["gw"]
        assert match_of(only_lane(found)) == [{"header": "end-user", "equals": "jason"}, hosts]

    def test_other_hosts_in_the_mesh_close_the_lanes(self) -> None:
        found = import_rules("istio", [self.RULE, self.service(self.route("s2", self.HEADER), hosts=["ratings"])])
        assert not only_lane(found).enabled
        assert "1.spec.hosts" in places(found)

    def test_what_is_not_asked_for_is_listed(self) -> None:
        route = {**self.route("s2", self.HEADER), "timeout": "5s"}
        data = [self.RULE, self.service(route, self.route(""), self.route("s3")), {"kind": "Gateway"}]
        assert places(import_rules("istio", data)) == ["2", "1.spec.http.0.timeout", "1.spec.http.2"]

    @pytest.mark.parametrize(
        "match",
        [
            {"header": "a", "equals": "x", "ignore_case": True},
            {"param": "a", "not_equals": "x"},
            {"header": "a", "segment": "vips"},
            {"header": "a", "percent": 5},
            {"jwt": "sub", "equals": "x"},
            {"body": "/a", "equals": "x"},
            {"client_ip": {"equals": "10.0.0.1"}},
            {"time": {"days": ["mon"]}},
            {"header": "a", "gt": 1},
            {"not": {"param": "a", "equals": "x"}},
            {"param": "group", "equals": "again"},
            {"any": [GRAY, GRAY]},
        ],
        ids=str,
    )
    def test_what_istio_cannot_say_is_left_out(self, match: dict[str, Any]) -> None:
        found = export_rules("istio", [group({"match": [GRAY, match]}, {})])
        assert [route.get("name") for route in found.documents[0]["spec"]["http"]] == ["l1", None]
        assert "shop/l0 match.1" in places(found)

    def test_a_closed_lane_is_left_out(self) -> None:
        found = export_rules("istio", [group({"enabled": False})])
        assert [route.get("name") for route in found.documents[0]["spec"]["http"]] == [None]
        assert "shop/l0 enabled" in places(found)

    @pytest.mark.parametrize("values", [{"services": []}, {"enabled": False}, {"entry": ["gw"]}], ids=str)
    def test_groups_that_cannot_be_written(self, values: dict[str, Any]) -> None:
        found = export_rules("istio", [group({}, **values)])
        assert found.documents == ()
        assert [loss.place for loss in found.losses] == ["shop"]
        assert next(iter(values)) in found.losses[0].message
