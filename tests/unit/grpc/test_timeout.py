"""The deadline of a call as it is sent along."""

from __future__ import annotations

import pytest

from gateway.grpc.timeout import format_timeout, parse_timeout


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (b"1S", 1.0),
        (b"250m", 0.25),
        (b"2H", 7200.0),
        (b"3M", 180.0),
        (b"99999999u", 99.999999),
        (b"5n", 5e-9),
        (b"0S", 0.0),
    ],
)
def test_digits_and_a_unit_are_seconds(value: bytes, seconds: float) -> None:
    assert parse_timeout(value) == pytest.approx(seconds)


@pytest.mark.parametrize("value", [b"", b"1", b"S", b"1s", b"-1S", b"1.5S", b"123456789S", b" 1S", b"1S "])
def test_anything_else_is_none(value: bytes) -> None:
    assert parse_timeout(value) is None


@pytest.mark.parametrize(
    ("seconds", "value"),
    [
        (0.25, b"250000u"),
        (99.999999, b"99999999u"),
        (100.0, b"100000m"),
        (99_999.999, b"99999999m"),
        (100_000.0, b"100000S"),
        (1e12, b"99999999S"),
        (0.0, b"0u"),
        (-3.0, b"0u"),
        (0.0000019, b"1u"),
    ],
)
def test_seconds_are_written_as_finely_as_they_fit(seconds: float, value: bytes) -> None:
    assert format_timeout(seconds) == value


@pytest.mark.parametrize("seconds", [0.001, 0.0334, 1.5, 59.999999, 86_400.0, 5_000_000.0])
def test_what_is_written_is_read_again_and_never_more(seconds: float) -> None:
    again = parse_timeout(format_timeout(seconds))
    assert again is not None
    assert seconds * 0.999 <= again <= seconds
