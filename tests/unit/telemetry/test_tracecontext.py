"""Trace ids: read from what exists, made where there is none."""

from __future__ import annotations

import pytest

from gateway.telemetry.tracecontext import correlation_id_of, new_traceparent_line, trace_id_of

ID = b"4bf92f3577b34da6a3ce929d0e0e4736"


@pytest.mark.parametrize(
    ("value", "trace_id"),
    [
        (b"00-" + ID + b"-00f067aa0ba902b7-01", ID),
        (b"cc-" + ID + b"-00f067aa0ba902b7-01-more", ID),
        (b"00-" + ID.upper() + b"-00f067aa0ba902b7-01", b""),
        (b"00-" + b"0" * 32 + b"-00f067aa0ba902b7-01", b""),
        (b"00-" + ID, b""),
        (b"", b""),
    ],
)
def test_trace_id(value: bytes, trace_id: bytes) -> None:
    assert trace_id_of(value) == trace_id


@pytest.mark.parametrize(
    ("value", "identity"),
    [
        (ID, ID),
        (ID + b"-00f067aa0ba902b7-1", ID),
        (b"7f1b2c3d-aaaa-bbbb-cccc-1234567890ab", b"7f1b2c3d-aaaa-bbbb-cccc-1234567890ab"),
        (b"x" * 129, b""),
    ],
)
def test_correlation_id(value: bytes, identity: bytes) -> None:
    assert correlation_id_of(value) == identity


def test_a_new_traceparent_is_well_formed() -> None:
    made = new_traceparent_line(1 << 100 | 7, sampled=True)
    assert made == b"traceparent: 00-00000000000000000000001000000000-0000000000000007-01\r\n"
    assert trace_id_of(made[13:-2]) == b"00000000000000000000001000000000"
    assert new_traceparent_line(1 << 100, sampled=False).endswith(b"-00\r\n")
