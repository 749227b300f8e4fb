"""By which ids a request is remembered: each field of the table counts, in its order, unless it is given twice."""

from __future__ import annotations

import pytest

from gateway.http.head_reader import build_request
from gateway.routing.carriers import trace_ids
from gateway.settings.plane import CarrierSettings
from gateway.telemetry.tracecontext import ID_FIELDS

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
SPAN = "00f067aa0ba902b7"
VALUES = {
    "b3": (f"{TRACE}-{SPAN}-1", TRACE),
    "x-b3-traceid": (TRACE[::-1], TRACE[::-1]),
    "x-request-id": ("7f3c2a91-5b8d-4e60-9c1f", "request 7f3c2a91-5b8d-4e60-9c1f"),
}


def ids(*headers: tuple[str, str], strongest: bool = False) -> list[str]:
    found = trace_ids(build_request("GET", "/", headers), strongest)
    return [item.decode() for item in found]


def test_there_is_a_value_of_every_field() -> None:
    assert list(VALUES) == [field.name.decode() for field in ID_FIELDS]


def test_all_ids_in_the_order_of_the_table() -> None:
    headers = [(name, value) for name, (value, _) in reversed(VALUES.items())]
    assert ids(*headers) == [found for _, found in VALUES.values()]
    assert ids(("traceparent", f"00-{SPAN * 2}-{SPAN}-01"), *headers)[0] == SPAN * 2


def test_only_the_strongest() -> None:
    headers = [(name, value) for name, (value, _) in VALUES.items()]
    assert ids(*headers, strongest=True) == [TRACE]
    assert ids(*headers[2:], strongest=True) == [VALUES["x-request-id"][1]]


@pytest.mark.parametrize("name", VALUES)
def test_what_is_given_twice_identifies_nothing(name: str) -> None:
    assert ids((name, VALUES[name][0]), (name, VALUES[name][0])) == []


def test_one_trace_in_two_formats_is_one_id() -> None:
    assert ids(("b3", VALUES["b3"][0]), ("x-b3-traceid", TRACE.upper())) == [TRACE]


@pytest.mark.parametrize("name", VALUES)
def test_none_of_these_fields_can_be_the_tag_header(name: str) -> None:
    with pytest.raises(ValueError, match=name):
        CarrierSettings(header=name)
