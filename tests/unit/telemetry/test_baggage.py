"""The baggage member that carries the tag, among everybody else's."""

from __future__ import annotations

import pytest

from gateway.telemetry.baggage import member, without_member

NAME = b"x-gray-tag"


@pytest.mark.parametrize(
    ("lines", "value", "rest"),
    [
        ([b"x-gray-tag=gray"], b"gray", b""),
        ([b"a=1, x-gray-tag = gray;p=1 ,b=2"], b"gray", b"a=1,b=2"),
        ([b"a=1", b"x-gray-tag=gray"], b"gray", b"a=1"),
        ([b"x-gray-tag=a,x-gray-tag=b"], b"a", b""),
        ([b"a=1;x-gray-tag=gray"], b"", b"a=1;x-gray-tag=gray"),
        ([b"not-x-gray-tag=gray"], b"", b"not-x-gray-tag=gray"),
        ([b"x-gray-tag=gr%61y"], b"gray", b""),
        ([b"x-gray-tag"], b"", b""),
        ([b"a=1,b=2;p"], b"", b"a=1,b=2;p"),
        ([b""], b"", b""),
    ],
)
def test_member(lines: list[bytes], value: bytes, rest: bytes) -> None:
    assert member(lines, NAME) == value
    assert without_member(lines, NAME) == rest
