"""Messages of grpc.health.v1."""

from __future__ import annotations

import pytest

from gateway.grpc.health import NOT_SERVED, SERVING, decode_status, encode_check


@pytest.mark.parametrize(
    ("service", "message"),
    [("", b""), ("a.B", b"\x0a\x03a.B"), ("x" * 200, b"\x0a\xc8\x01" + b"x" * 200)],
)
def test_a_request_names_a_service(service: str, message: bytes) -> None:
    assert encode_check(service) == message


@pytest.mark.parametrize(
    ("message", "status"),
    [
        (b"", 0),
        (b"\x08\x01", SERVING),
        (b"\x08\x02", 2),
        (b"\x08\x03", 3),
        (b"\x08\x04", NOT_SERVED),
        (b"\x08", NOT_SERVED),
        (b"\x10\x01", NOT_SERVED),
        (b"<html>", NOT_SERVED),
    ],
)
def test_a_response_has_a_status(message: bytes, status: int) -> None:
    assert decode_status(message) == status
