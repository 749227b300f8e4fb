"""Records of registries: what is no text in them never becomes a word of Python."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.instance import Instance
from gateway.registry.base import Listing
from gateway.registry.records import MAX_WEIGHT, MIN_WEIGHT, Records
from gateway.registry.tags import TagReader
from gateway.tags import BASE


def test_metadata_that_is_no_text_is_written_as_json_has_it() -> None:
    records = Records(TagReader())
    records.add("10.0.0.1", 80, 1, {"a": True, "b": 1, "c": None, "gray.tag": None, "d": [1, None]}, True, True)
    assert records.listing().instances == (
        Instance("10.0.0.1", 80, BASE, metadata={"a": "true", "b": "1", "d": "[1, null]"}),
    )


def test_a_label_that_is_no_text_is_no_label() -> None:
    records = Records(TagReader(("gray.tag",), bare=("None", "True", "gray")))
    for port, labels in ((1, [None]), (2, [True, 3, {}]), (3, ["gray"]), (4, None), (5, "gray")):
        records.add("10.0.0.1", port, 1, {}, True, True, labels=labels)
    assert [instance.tag for instance in records.listing().instances] == [BASE, BASE, "gray", BASE]
    assert records.listing().skipped == {"bad_tags": 1}


def skipped(host: Any = "10.0.0.1", port: Any = 80, weight: Any = 1, metadata: Any = None, labels: Any = ()) -> str:
    """Why a record is left out, empty if it is an instance."""
    records = Records(TagReader())
    records.add(host, port, weight, metadata, True, True, labels=labels)
    listing = records.listing()
    assert len(listing.instances) + sum(listing.skipped.values()) == 1
    return next(iter(listing.skipped), "")


@pytest.mark.parametrize(
    "host",
    [
        "",
        None,
        7,
        " ",
        "a b",
        "a\tb",
        "a/b",
        "a@b",
        "a?b",
        "a#b",
        "[::1]",
        "a]b",
        "1:2",
        "a..b",
        "x" * 64,
        "fe80::1%eth 0",
    ],
)
def test_what_cannot_be_an_address_or_a_name_is_no_host(host: Any) -> None:
    assert skipped(host=host) == "bad_host"


@pytest.mark.parametrize(
    "host", ["10.0.0.1", "orders", "orders.example.com", "::1", "2001:db8::1", "x" * 63, "bücher.example"]
)
def test_an_address_or_a_name_is_a_host(host: str) -> None:
    assert skipped(host=host) == ""


@pytest.mark.parametrize(
    ("port", "reason"),
    [(1, ""), (65535, ""), (0, "bad_port"), (-1, "bad_port"), (65536, "bad_port"), ("80", "bad_port"), (True, "bad_port"), (80.0, "bad_port"), (None, "bad_port")],
)  # fmt: skip
def test_ports(port: Any, reason: str) -> None:
    assert skipped(port=port) == reason


@pytest.mark.parametrize(
    ("weight", "found"),
    [
        (0, 0.0),
        (0.0, 0.0),
        (1, 1.0),
        (0.5, 0.5),
        (1e-9, MIN_WEIGHT),
        (10**300, MAX_WEIGHT),
        (MAX_WEIGHT + 1, MAX_WEIGHT),
    ],
)
def test_weights_are_bounded_and_nothing_stays_nothing(weight: float, found: float) -> None:
    records = Records(TagReader())
    records.add("10.0.0.1", 80, weight, None, True, True)
    (instance,) = records.listing().instances
    assert (instance.weight, type(instance.weight)) == (found, float)


@pytest.mark.parametrize("weight", [-1, -0.1, float("nan"), float("inf"), "1", None, True, 10**400])
def test_what_is_no_weight(weight: Any) -> None:
    assert skipped(weight=weight) == "bad_weight"


@pytest.mark.parametrize(("metadata", "reason"), [(None, ""), ({}, ""), ([], "bad_metadata"), ("a", "bad_metadata")])
def test_metadata_is_a_map_or_nothing(metadata: Any, reason: str) -> None:
    assert skipped(metadata=metadata) == reason


@pytest.mark.parametrize(("labels", "reason"), [(None, ""), ([], ""), ((), ""), ("a", "bad_tags"), ({}, "bad_tags")])
def test_labels_are_a_list_or_nothing(labels: Any, reason: str) -> None:
    assert skipped(labels=labels) == reason


def test_of_two_records_of_one_address_the_usable_one_counts_and_else_the_later_one() -> None:
    def listed(*records: tuple[int, bool]) -> tuple[float, bool]:
        """The weight and the health that are left of an address."""
        found = Records(TagReader())
        for weight, healthy in records:
            found.add("10.0.0.1", 80, weight, None, healthy, True)
        listing = found.listing()
        assert listing.skipped == {"duplicate": len(records) - 1}
        (instance,) = listing.instances
        return instance.weight, instance.healthy

    assert listed((1, True), (2, False)) == (1.0, True)
    assert listed((1, False), (2, True)) == (2.0, True)
    assert listed((1, True), (2, True)) == (2.0, True)
    assert listed((1, False), (2, False)) == (2.0, False)


def test_a_list_is_in_the_order_of_addresses_and_says_whether_health_is_forced() -> None:
    records = Records(TagReader())
    for host, healthy, enabled in (("10.0.0.2", True, False), ("10.0.0.1", False, True)):
        records.add(host, 80, 1, {}, healthy, enabled)
    assert records.listing(is_forced=True) == Listing(
        (Instance("10.0.0.1", 80, healthy=False), Instance("10.0.0.2", 80, enabled=False)), {}, True
    )
    assert not records.listing().is_forced


def test_a_record_is_called_what_the_registry_calls_it() -> None:
    records = Records(TagReader())
    records.add("", 80, 1, None, True, True, record_id="orders-1")
    records.add("", 81, 1, None, True, True, record_id="")
    records.add("", 82, 1, None, True, True, record_id=7)
    assert records.listing().left_out == {"bad_host": ("orders-1", ":81", ":82")}
