"""By which ids a request is remembered: each field of the table counts, in its order, unless it is given twice."""

from __future__ import annotations

import pytest

from gateway.http.head_reader import build_request
from gateway.routing.carriers import Carriers
from gateway.settings.plane import CarrierSettings
from gateway.telemetry.tracecontext import ID_FIELDS

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
SPAN = "00f067aa0ba902b7"
VALUES = {
    "b3": (f"{TRACE}-{SPAN}-1", TRACE),
    "x-b3-traceid": (TRACE[::-1], TRACE[::-1]),
    "uber-trace-id": (f"{TRACE[:20]}:{SPAN}:0:1", TRACE[:20].rjust(32, "0")),
    "x-datadog-trace-id": ("1234567890123456789", "0000000000000000112210f47de98115"),
    "x-amzn-trace-id": ("Root=1-67891233-abcdef012345678912345678", "67891233abcdef012345678912345678"),
    "sw8": ("1-YWJjZGVmMDEyMzQ1Njc4OQ==-c2Vn-3-YQ==-aQ==-ZQ==-cA==", "skywalking YWJjZGVmMDEyMzQ1Njc4OQ=="),
    "x-request-id": ("7f3c2a91-5b8d-4e60-9c1f", "request 7f3c2a91-5b8d-4e60-9c1f"),
    "x-correlation-id": ("7f3c2a91-5b8d-4e60-9c1f", "correlation 7f3c2a91-5b8d-4e60-9c1f"),
}


def ids(*headers: tuple[str, str], strongest: bool = False) -> list[str]:
    found = Carriers().trace_ids(build_request("GET", "/", headers), strongest)
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
    assert ids(*headers[-2:], strongest=True) == [VALUES["x-request-id"][1]]


@pytest.mark.parametrize("name", VALUES)
def test_only_those_that_the_settings_name(name: str) -> None:
    """The trace id of `traceparent` always counts."""
    headers = [("traceparent", f"00-{SPAN * 2}-{SPAN}-01"), *((item, value) for item, (value, _) in VALUES.items())]
    carriers = Carriers(ids=CarrierSettings(ids=[name.upper()]).ids)
    found = carriers.trace_ids(build_request("GET", "/", headers))
    assert [item.decode() for item in found] == [SPAN * 2, VALUES[name][1]]


def test_what_is_not_understood_is_refused() -> None:
    with pytest.raises(ValueError, match="'x-trace' is not a field whose ids are understood: b3, x-b3-traceid, "):
        CarrierSettings(ids=["x-trace"])


@pytest.mark.parametrize("name", VALUES)
def test_what_is_given_twice_identifies_nothing(name: str) -> None:
    assert ids((name, VALUES[name][0]), (name, VALUES[name][0])) == []


def test_one_trace_in_two_formats_is_one_id() -> None:
    assert ids(("b3", VALUES["b3"][0]), ("x-b3-traceid", TRACE.upper())) == [TRACE]


@pytest.mark.parametrize("name", VALUES)
def test_none_of_these_fields_can_be_the_tag_header(name: str) -> None:
    with pytest.raises(ValueError, match=name):
        CarrierSettings(header=name)
