"""Messages of a status."""

from __future__ import annotations

from urllib.parse import unquote

import pytest

from gateway.grpc.message import encode_message


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("no instance of service a", b"no instance of service a"),
        ("50% of 'a' & \"b\"", b"50%25 of 'a' & \"b\""),
        ("服务", b"%E6%9C%8D%E5%8A%A1"),
        ("a\r\nb\x00", b"a%0D%0Ab%00"),
        ("", b""),
    ],
)
def test_what_a_field_cannot_hold_is_escaped(text: str, value: bytes) -> None:
    assert (encode_message(text), unquote(value.decode())) == (value, text)
