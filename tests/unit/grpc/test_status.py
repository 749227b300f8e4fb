"""Status codes, as grpcio has them."""

from __future__ import annotations

import grpc  # type: ignore[import-untyped]
import pytest

from gateway.grpc.status import NAMES, is_error, is_fault, read_status, status_of_http


def test_the_codes_are_grpcs() -> None:
    assert [code.name for code in sorted(grpc.StatusCode, key=lambda code: code.value[0])] == list(NAMES)


@pytest.mark.parametrize(
    ("value", "expected"),
    [(b"0", 0), (b"14", 14), (b"16", 16), (b"17", 2), (b"-1", 2), (b"", 2), (b"014", 2), (b"x", 2)],
)
def test_what_is_not_a_code_is_unknown(value: bytes, expected: int) -> None:
    assert read_status(value) == expected


@pytest.mark.parametrize(
    ("status", "name"),
    [
        (400, "INTERNAL"),
        (401, "UNAUTHENTICATED"),
        (403, "PERMISSION_DENIED"),
        (404, "UNIMPLEMENTED"),
        (408, "UNKNOWN"),
        (429, "UNAVAILABLE"),
        (500, "UNKNOWN"),
        (502, "UNAVAILABLE"),
        (503, "UNAVAILABLE"),
        (504, "DEADLINE_EXCEEDED"),
    ],
)
def test_our_own_errors_have_a_code(status: int, name: str) -> None:
    assert NAMES[status_of_http(status)] == name


def test_what_counts_against_an_instance() -> None:
    """Neither a deadline, which the client chose, nor what the client called wrongly."""
    assert [name for code, name in enumerate(NAMES) if is_fault(code)] == [
        "UNKNOWN",
        "INTERNAL",
        "UNAVAILABLE",
        "DATA_LOSS",
    ]


def test_what_is_a_failed_call() -> None:
    """The codes for which OpenTelemetry has a server's span fail."""
    assert {name for code, name in enumerate(NAMES) if is_error(code)} == {
        "UNKNOWN",
        "DEADLINE_EXCEEDED",
        "UNIMPLEMENTED",
        "INTERNAL",
        "UNAVAILABLE",
        "DATA_LOSS",
    }
