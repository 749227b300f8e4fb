"""Trace ids: what identifies a request, and what does not; a traceparent where there is none."""

from __future__ import annotations

import pytest

from gateway.telemetry.tracecontext import (
    b3_trace_id_of,
    datadog_trace_id_of,
    jaeger_trace_id_of,
    request_id_of,
    skywalking_trace_id_of,
    trace_id_of,
    x_b3_trace_id_of,
    xray_trace_id_of,
)

ID = b"4bf92f3577b34da6a3ce929d0e0e4736"
SPAN = b"00f067aa0ba902b7"


@pytest.mark.parametrize(
    ("value", "trace_id"),
    [
        pytest.param(b"00-" + ID + b"-" + SPAN + b"-01", ID, id="sound"),
        pytest.param(b"cc-" + ID + b"-" + SPAN + b"-01", ID, id="a later version"),
        pytest.param(b"cc-" + ID + b"-" + SPAN + b"-01-more", ID, id="a later version goes on"),
        pytest.param(b"cc-" + ID + b"-" + SPAN + b"-01more", b"", id="a later version goes on without a dash"),
        pytest.param(b"00-" + ID + b"-" + SPAN + b"-01-more", b"", id="version 00 goes on"),
        pytest.param(b"00-" + ID + b"-" + SPAN + b"-01-", b"", id="version 00 with a dash behind"),
        pytest.param(b"ff-" + ID + b"-" + SPAN + b"-01", b"", id="version ff"),
        pytest.param(b"00-" + ID + b"-" + b"0" * 16 + b"-01", b"", id="parent id zero"),
        pytest.param(b"00-" + b"0" * 32 + b"-" + SPAN + b"-01", b"", id="trace id zero"),
        pytest.param(b"00-" + ID.upper() + b"-" + SPAN + b"-01", b"", id="upper case"),
        pytest.param(b"00-" + ID[1:] + b"-a" + SPAN + b"-01", b"", id="a dash too early"),
        pytest.param(b"00-" + ID + b"-" + SPAN + b"0-1", b"", id="a dash too late"),
        pytest.param(b"00-" + ID + b"-" + SPAN + b"-0g", b"", id="no digit"),
        pytest.param(b"00-" + ID + b"-" + SPAN + b"-012", b"", id="a digit too many"),
        pytest.param(b"01-" + ID + b"-" + SPAN + b"-01", ID, id="version 01"),
        pytest.param(b"0--" + ID + b"-" + SPAN + b"001", b"", id="dashes elsewhere"),
        pytest.param(b"00-" + ID, b"", id="cut short"),
        pytest.param(b"", b"", id="empty"),
    ],
)
def test_trace_id_of_a_traceparent(value: bytes, trace_id: bytes) -> None:
    assert trace_id_of(value) == trace_id


@pytest.mark.parametrize(
    ("value", "trace_id"),
    [
        pytest.param(ID + b"-" + SPAN, ID, id="ids"),
        pytest.param(ID.upper() + b"-" + SPAN + b"-1", ID, id="upper case is the same id"),
        pytest.param(ID[:16] + b"-" + SPAN + b"-d", b"0" * 16 + ID[:16], id="64 bits, as 128"),
        pytest.param(ID + b"-" + SPAN + b"-0-" + SPAN, ID, id="with a parent"),
        pytest.param(b"0", b"", id="deny sampling"),
        pytest.param(b"1", b"", id="accept sampling"),
        pytest.param(b"d", b"", id="debug"),
        pytest.param(ID, b"", id="no span"),
        pytest.param(ID[:20] + b"-" + SPAN + b"-1", b"", id="80 bits"),
        pytest.param(b"0" * 32 + b"-" + SPAN + b"-1", b"", id="trace id zero"),
        pytest.param(ID + b"-" + b"0" * 16 + b"-1", b"", id="span id zero"),
        pytest.param(ID + b"-" + SPAN + b"-7", b"", id="unknown sampling state"),
        pytest.param(b"", b"", id="empty"),
    ],
)
def test_trace_id_of_b3(value: bytes, trace_id: bytes) -> None:
    assert b3_trace_id_of(value) == trace_id


@pytest.mark.parametrize(
    ("value", "trace_id"),
    [
        pytest.param(ID, ID, id="128 bits"),
        pytest.param(ID[:16].upper(), b"0" * 16 + ID[:16], id="64 bits in upper case, as 128"),
        pytest.param(b"0" * 32, b"", id="zero"),
        pytest.param(b"0" * 16, b"", id="64 bits of zero"),
        pytest.param(ID[:31], b"", id="cut short"),
        pytest.param(ID + b"," + ID, b"", id="two"),
        pytest.param(b"", b"", id="empty"),
    ],
)
def test_trace_id_of_x_b3_traceid(value: bytes, trace_id: bytes) -> None:
    assert x_b3_trace_id_of(value) == trace_id


@pytest.mark.parametrize(
    ("value", "trace_id"),
    [
        pytest.param(ID + b":" + SPAN + b":0:1", ID, id="128 bits"),
        pytest.param(ID[:16].upper() + b":1:0:f1", b"0" * 16 + ID[:16], id="64 bits in upper case, as 128"),
        pytest.param(ID[:15] + b":1:0:1", b"0" * 17 + ID[:15], id="without its leading zero"),
        pytest.param(ID + b"%3A" + SPAN + b"%3a0%3A1", ID, id="encoded colons"),
        pytest.param(b"0" * 21 + ID[:11] + b":1:0:1", b"", id="too short to be random"),
        pytest.param(b"0:1:0:1", b"", id="zero"),
        pytest.param(ID + b":" + SPAN + b":0", b"", id="without flags"),
        pytest.param(ID + b"0:" + SPAN + b":0:1", b"", id="132 bits"),
        pytest.param(ID + b":" + SPAN + b":0:1," + ID + b":1:0:1", b"", id="two"),
        pytest.param(b"", b"", id="empty"),
    ],
)
def test_trace_id_of_jaeger(value: bytes, trace_id: bytes) -> None:
    assert jaeger_trace_id_of(value) == trace_id


@pytest.mark.parametrize(
    ("value", "trace_id"),
    [
        pytest.param(b"5458505456213325623", b"%032x" % 5458505456213325623, id="a number"),
        pytest.param(b"18446744073709551615", b"0" * 16 + b"f" * 16, id="the largest"),
        pytest.param(b"18446744073709551616", b"", id="beyond 64 bits"),
        pytest.param(b"123456789012", b"", id="too small to be random"),
        pytest.param(b"0545850545621332562", b"", id="a leading zero"),
        pytest.param(b"0", b"", id="zero"),
        pytest.param(b"4bbf36f5d1c3c1f7", b"", id="hexadecimal"),
        pytest.param(b"", b"", id="empty"),
    ],
)
def test_trace_id_of_datadog(value: bytes, trace_id: bytes) -> None:
    assert datadog_trace_id_of(value) == trace_id


@pytest.mark.parametrize(
    ("value", "trace_id"),
    [
        pytest.param(
            b"Root=1-67891233-ABCDEF012345678912345678;Parent=463ac35c9f6413ad;Sampled=1",
            b"67891233abcdef012345678912345678",
            id="all",
        ),
        pytest.param(
            b"Self=1-67891234-12456789abcdef012345678;Root=1-67891233-abcdef012345678912345678",
            b"67891233abcdef012345678912345678",
            id="behind a load balancer",
        ),
        pytest.param(
            b"Parent=463ac35c9f6413ad; Root=1-67891233-abcdef012345678912345678",
            b"67891233abcdef012345678912345678",
            id="with a blank",
        ),
        pytest.param(b"Self=1-67891233-abcdef012345678912345678", b"", id="no root"),
        pytest.param(b"NoRoot=1-67891233-abcdef012345678912345678", b"", id="another key"),
        pytest.param(b"Root=1-67891233-" + b"0" * 24, b"", id="zero"),
        pytest.param(b"Root=2-67891233-abcdef012345678912345678", b"", id="another version"),
        pytest.param(b"Root=1-67891233-abcdef0123456789123456789", b"", id="too long"),
        pytest.param(b"", b"", id="empty"),
    ],
)
def test_trace_id_of_xray(value: bytes, trace_id: bytes) -> None:
    assert xray_trace_id_of(value) == trace_id


SW8 = b"YmM3YTE1YjQuMTIzLjE3MDAwMDAwMDAwMDAwMDAx"


@pytest.mark.parametrize(
    ("value", "trace_id"),
    [
        pytest.param(
            b"1-" + SW8 + b"-c2VnbWVudA==-3-c2VydmljZQ==-aW5zdGFuY2U=-L2E=-MTI3LjAuMC4xOjgw", SW8, id="sampled"
        ),
        pytest.param(b"0-" + SW8 + b"-c2VnbWVudA==-0-YQ==-YQ==-YQ==-YQ==", SW8, id="not sampled"),
        pytest.param(b"0-" + SW8 + b"-c2VnbWVudA==-0----", SW8, id="without names"),
        pytest.param(b"1-" + SW8 + b"-c2VnbWVudA==-3-YQ==-YQ==-YQ==", b"", id="seven parts"),
        pytest.param(b"2-" + SW8 + b"-c2VnbWVudA==-3-YQ==-YQ==-YQ==-YQ==", b"", id="another sampling state"),
        pytest.param(b"1-YWJj-c2VnbWVudA==-3-YQ==-YQ==-YQ==-YQ==", b"", id="too short to be one request's"),
        pytest.param(b"", b"", id="empty"),
    ],
)
def test_trace_id_of_skywalking(value: bytes, trace_id: bytes) -> None:
    assert skywalking_trace_id_of(value) == trace_id


@pytest.mark.parametrize(
    "value",
    [
        pytest.param(b"7f1b2c3d-aaaa-bbbb-cccc-1234567890ab", id="UUID"),
        pytest.param(ID, id="nginx"),
        pytest.param(b"01ARZ3NDEKTSV4RRFFQ69G5FAV", id="ULID"),
        pytest.param(b"0ujtsYcgvSTl8PAuAdqWYSMnLOv", id="KSUID"),
        pytest.param(b"20261125T213247Z-000123", id="a time and a counter, whole"),
        pytest.param(b"5f1d7e.X/9+a8B=c~d:e@f_g" * 8, id="long"),
    ],
)
def test_a_request_id_is_taken_whole(value: bytes) -> None:
    assert request_id_of(value) == value


@pytest.mark.parametrize(
    "value",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"-", id="a dash"),
        pytest.param(b"undefined", id="a word"),
        pytest.param(b"20261125T213247Z", id="a time"),
        pytest.param(b"000000000000000000000000000000000123", id="a padded counter"),
        pytest.param(b"00000000-0000-0000-0000-000000000000", id="nil UUID"),
        pytest.param(b"ffffffff-ffff-ffff-ffff-ffffffffffff", id="max UUID"),
        pytest.param(b"xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx", id="placeholder"),
        pytest.param(ID + b"," + ID[::-1], id="two"),
        pytest.param(b"req 7f1b2c3d aaaa bbbb cccc 1234", id="spaces"),
        pytest.param(b"0123456789abcdef" * 13, id="too long"),
        pytest.param(b"7f1b2c3d-aaaa-bbbb-cccc-1234567890\xe4b", id="not ASCII"),
    ],
)
def test_what_identifies_no_request_is_no_id(value: bytes) -> None:
    assert request_id_of(value) == b""
