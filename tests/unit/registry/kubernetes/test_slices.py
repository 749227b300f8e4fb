"""From EndpointSlices and pods to instances."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.kubernetes.client import Object
from gateway.registry.kubernetes.slices import Pod, Slice, listing, read_pod, read_slice, uids_of
from gateway.registry.tags import TagReader
from tests.support.apiserver import a_pod, a_slice, endpoint

TAGS = TagReader()


def slices(*items: Object) -> list[Slice]:
    return [found for item in items if (found := read_slice(item)) is not None]


def pods(*items: Object) -> dict[str, Pod]:
    return {pod.uid: pod for item in items if (pod := read_pod(item)) is not None}


def shown(*items: Object, known: dict[str, Pod], port: str = "") -> list[tuple[str, str, bool]]:
    found = listing(slices(*items), known, TAGS, port)
    return [(item.address, item.tag, item.is_usable) for item in found.instances]


def test_tags_are_the_labels_of_pods() -> None:
    known = pods(a_pod("a-1"), a_pod("a-2", **{"alicloud.service.tag": "gray"}))
    item = a_slice("a", endpoint("10.0.0.1", "a-1"), endpoint("10.0.0.2", "a-2"))
    assert shown(item, known=known) == [("10.0.0.1:8080", "base", True), ("10.0.0.2:8080", "gray", True)]


def test_an_instance_names_its_pod_its_node_and_its_zone() -> None:
    item = a_slice("a", {**endpoint("10.0.0.1", "a-1"), "nodeName": "n1", "zone": "z"})
    (instance,) = listing(slices(item), pods(a_pod("a-1", app="a")), TAGS).instances
    assert instance.metadata == {"app": "a", "pod": "a-1", "pod-uid": "uid-a-1", "node": "n1", "zone": "z"}


def test_a_pod_that_is_not_known_gets_no_traffic_as_its_tag_is_not_known_either() -> None:
    found = listing(slices(a_slice("a", endpoint("10.0.0.1", "a-1"))), {}, TAGS)
    assert (found.instances, found.skipped, found.left_out) == ((), {"unknown_pod": 1}, {"unknown_pod": ("a-1",)})


def test_a_malformed_tag_gets_no_traffic() -> None:
    (instance,) = listing(
        slices(a_slice("a", endpoint("10.0.0.1", "a-1"))), pods(a_pod("a-1", lane="-gray")), TAGS
    ).instances
    assert instance.tag == "__invalid__"


@pytest.mark.parametrize(
    ("conditions", "usable"),
    [
        ({}, True),
        ({"ready": False, "serving": False}, False),
        ({"ready": False, "serving": True, "terminating": True}, False),
        # publishNotReadyAddresses calls a pod ready that is about to go
        ({"ready": True, "serving": True, "terminating": True}, False),
    ],
)
def test_readiness_and_termination(conditions: dict[str, bool], usable: bool) -> None:
    item = a_slice("a", endpoint("10.0.0.1", "a-1", **conditions))
    assert shown(item, known=pods(a_pod("a-1"))) == [("10.0.0.1:8080", "base", usable)]


def test_conditions_that_say_nothing_mean_ready() -> None:
    silent = {**endpoint("10.0.0.1", "a-1"), "conditions": {}}
    assert shown(a_slice("a", silent), known=pods(a_pod("a-1"))) == [("10.0.0.1:8080", "base", True)]


def test_several_slices_are_one_service() -> None:
    known = pods(a_pod("a-1"), a_pod("a-2"))
    one, two = a_slice("a", endpoint("10.0.0.2", "a-2")), a_slice("a", endpoint("10.0.0.1", "a-1"), name="a-2")
    assert shown(one, two, known=known) == [("10.0.0.1:8080", "base", True), ("10.0.0.2:8080", "base", True)]


def test_a_pod_of_both_families_is_one_instance_and_one_of_ipv6_alone_counts() -> None:
    known = pods(a_pod("a-1"), a_pod("a-2"))
    both = a_slice("a", endpoint("fd00::1", "a-1"), endpoint("fd00::2", "a-2"), name="six", family="IPv6")
    four = a_slice("a", endpoint("10.0.0.1", "a-1"))
    assert shown(both, four, known=known) == [("10.0.0.1:8080", "base", True), ("[fd00::2]:8080", "base", True)]


def test_names_that_somebody_else_resolves_are_left_out() -> None:
    found = listing(slices(a_slice("a", endpoint("a.example", "a-1"), family="FQDN")), {}, TAGS)
    assert (found.instances, found.skipped) == ((), {"bad_host": 1})


NAMED = [{"name": "metrics", "port": 9090, "protocol": "TCP"}, {"name": "http", "port": 8080, "protocol": "TCP"}]


@pytest.mark.parametrize(
    ("ports", "wanted", "number", "problem"),
    [
        (NAMED, "", 8080, ""),
        (NAMED, "metrics", 9090, ""),
        (NAMED, "9090", 9090, ""),
        (NAMED, "admin", 0, "no_such_port"),
        ([{"name": "x", "port": 1}, {"name": "y", "port": 2, "appProtocol": "HTTP"}], "", 2, ""),
        ([{"name": "x", "port": 1}, {"name": "y", "port": 2}], "", 0, "several_ports"),
        ([{"name": "dns", "port": 53, "protocol": "UDP"}, {"name": "x", "port": 7}], "", 7, ""),
        ([{"name": "dns", "port": 53, "protocol": "UDP"}], "", 0, "bad_port"),
        ([], "", 0, "bad_port"),
        ([{"name": "x", "port": True}], "", 0, "bad_port"),
        (None, "", 8080, ""),
    ],
)
def test_which_port_counts(ports: Any, wanted: str, number: int, problem: str) -> None:
    item = a_slice("a", endpoint("10.0.0.1", "a-1"), ports=ports)
    found = listing(slices(item), pods(a_pod("a-1")), TAGS, wanted)
    assert [instance.port for instance in found.instances] == ([number] if number else [])
    assert found.skipped == ({problem: 1} if problem else {})


@pytest.mark.parametrize(("label", "number"), [("15080", 15080), ("0", 0), ("x", 0), ("99999", 0)])
def test_a_pod_with_a_sidecar_is_called_at_the_port_of_that(label: str, number: int) -> None:
    """Whatever port its Service names. What is no port gets no traffic."""
    known = pods(a_pod("a-1", **{"gray-gateway.io/inbound-port": label}))
    found = listing(slices(a_slice("a", endpoint("10.0.0.1", "a-1"))), known, TAGS)
    assert [instance.port for instance in found.instances] == ([number] if number else [])
    assert found.skipped == ({} if number else {"bad_port": 1})


def test_endpoints_without_a_pod_are_marked_by_the_labels_of_their_slice() -> None:
    item = a_slice("a", {"addresses": ["192.0.2.1"], "conditions": {"ready": True}})
    item["metadata"]["labels"]["lane"] = "gray"
    assert shown(item, known={}) == [("192.0.2.1:8080", "gray", True)]


def test_a_slice_of_no_service_is_none_of_ours() -> None:
    item = a_slice("a")
    del item["metadata"]["labels"]["kubernetes.io/service-name"]
    assert read_slice(item) is None


@pytest.mark.parametrize(
    "broken",
    [
        {"endpoints": None, "ports": None},
        {"endpoints": [{"addresses": []}, {"addresses": [1]}, {}, 7]},
        {"endpoints": "x", "ports": "y", "addressType": 4},
    ],
)
def test_what_is_no_endpoint_is_passed_over(broken: dict[str, Any]) -> None:
    item = {**a_slice("a"), **broken}
    assert shown(item, known={}) == []


def test_the_pods_behind_a_service() -> None:
    items = slices(a_slice("a", endpoint("10.0.0.1", "a-1"), {"addresses": ["192.0.2.1"]}))
    assert uids_of(items) == {"uid-a-1"}
