"""Which records somebody wants to see."""

from __future__ import annotations

import pytest

from gateway.grpc.status import NAMES
from gateway.live.filters import FilterError, RecordFilter
from gateway.live.store import Stored
from gateway.telemetry.request_record import Reporter
from tests.support.records import TRACE, marked

CALLED = Stored(1, Reporter("gateway"), marked(grpc_status="UNAVAILABLE"))
STORED = Stored(1, Reporter("gateway"), marked(status=503, fallback="absent", trace_id=TRACE, time=1000.5))


@pytest.mark.parametrize(
    ("given", "takes"),
    [
        ({}, True),
        ({"lane": "gray"}, True),
        ({"lane": "demo/gray"}, True),
        ({"lane": "gr"}, False),
        ({"service": "a"}, True),
        ({"service": "b"}, False),
        ({"status": "503"}, True),
        ({"status": "5XX"}, True),
        ({"status": "4xx"}, False),
        ({"status": "500"}, False),
        ({"path": "/A"}, True),
        ({"path": "/B"}, False),
        ({"fallback": "true"}, True),
        ({"fallback": "false"}, False),
        ({"trace": TRACE.upper()}, True),
        ({"trace": "0" * 32}, False),
        ({"since": "1000.5"}, True),
        ({"since": "1000.6"}, False),
        ({"since": "1970-01-01T00:16:40Z"}, True),
        ({"since": "1970-01-01T01:16:41+01:00"}, False),
        ({"lane": "gray", "service": "b"}, False),
    ],
)
def test_a_record_must_be_everything_that_is_asked(given: dict[str, str], takes: bool) -> None:
    assert RecordFilter.of(given).takes(STORED) is takes


@pytest.mark.parametrize(
    ("wanted", "calls"),
    [("unavailable", (True, False, False)), ("OK", (False, True, False)), ("error", (True, False, False))],
)
def test_how_a_call_ended(wanted: str, calls: tuple[bool, ...]) -> None:
    """Of a call that failed, of one that did not, and of a request that is none."""
    fine = Stored(2, Reporter("gateway"), marked(grpc_status="OK"))
    asked = RecordFilter.of({"grpc_status": wanted})
    assert tuple(map(asked.takes, (CALLED, fine, STORED))) == calls


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"colour": "red"}, "there is no filter 'colour'; there are fallback, grpc_status, lane, path, service, since, status, trace"),
        ({"status": "600"}, "status is 404 or 4xx, not '600'"),
        ({"status": "20x"}, "status is 404 or 4xx, not '20x'"),
        ({"grpc_status": "5xx"}, f"grpc_status is the name of a status, or error, not '5XX': {', '.join(NAMES)}"),
        ({"fallback": "yes"}, "fallback is true or false, not 'yes'"),
        ({"trace": "abc"}, "trace is 32 hexadecimal digits, not 'abc'"),
        ({"since": "monday"}, "since is seconds since 1970 or a time like 2026-01-31T12:00:00Z, not 'monday'"),
        ({"since": "2026-01-31T12:00:00"}, "since is seconds since 1970 or a time like 2026-01-31T12:00:00Z, not '2026-01-31T12:00:00'"),
    ],
)  # fmt: skip
def test_what_is_no_filter(given: dict[str, str], message: str) -> None:
    with pytest.raises(FilterError) as error:
        RecordFilter.of(given)
    assert str(error.value) == message
