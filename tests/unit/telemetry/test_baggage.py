"""The baggage member that carries the tag, among everybody else's."""

from __future__ import annotations

import pytest

from gateway.telemetry.baggage import member, without_members

NAME = b"x-gray-tag"


@pytest.mark.parametrize(
    ("lines", "value", "rest"),
    [
        ([b"x-gray-tag=gray"], "gray", b""),
        ([b"a=1, x-gray-tag = gray;p=1 ,b=2"], "gray", b"a=1,b=2"),
        ([b"a=1", b"x-gray-tag=gray"], "gray", b"a=1"),
        ([b"x-gray-tag=a,x-gray-tag=b"], "a", b""),
        ([b"a=1;x-gray-tag=gray"], None, b"a=1;x-gray-tag=gray"),
        ([b"not-x-gray-tag=gray"], None, b"not-x-gray-tag=gray"),
        ([b"x-gray-tag=gr%61y"], "gray", b""),
        ([b"x-gray-tag"], None, b""),
        ([b"a=1,b=2;p"], None, b"a=1,b=2;p"),
        ([b""], None, b""),
        ([b"x-gray-tag="], "", b""),
        ([b"x-gray-tag= ;p=1,a=1"], "", b"a=1"),
    ],
)
def test_member(lines: list[bytes], value: str | None, rest: bytes) -> None:
    assert member(lines, NAME) == value
    assert without_members(lines, (NAME,)) == rest


@pytest.mark.parametrize(
    ("sent", "value"),
    [
        (b"t=a%3Bb", "a;b"),
        (b"t=a%2Cb;p", "a,b"),
        (b"t=a%253Bb", "a%3Bb"),
        (b"t=%20a%20", " a "),
        (b"t=a=b", "a=b"),
        (b"t=100%", "100%"),
        (b"t=a+b", "a+b"),
        (b"t=%C3%A4%ff", "ä\N{REPLACEMENT CHARACTER}"),
        (b"t=\xc3\xa4", "ä"),
        (b"%74=a", None),
    ],
)
def test_a_value_is_decoded_once_and_after_the_list_is_taken_apart(sent: bytes, value: str | None) -> None:
    assert member([sent], b"t") == value
