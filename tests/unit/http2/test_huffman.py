"""The Huffman code of HPACK (RFC 7541 §5.2): the RFC's own strings, and what is no code."""

from __future__ import annotations

import pytest

from gateway.http2.huffman import decode

CODED = [
    ("f1e3c2e5f23a6ba0ab90f4ff", b"www.example.com"),
    ("a8eb10649cbf", b"no-cache"),
    ("25a849e95ba97d7f", b"custom-key"),
    ("25a849e95bb8e8b4bf", b"custom-value"),
    ("6402", b"302"),
    ("aec3771a4b", b"private"),
    ("d07abe941054d444a8200595040b8166e082a62d1bff", b"Mon, 21 Oct 2013 20:13:21 GMT"),
    ("9d29ad171863c78f0b97c8e9ae82ae43d3", b"https://www.example.com"),
    ("", b""),
]


@pytest.mark.parametrize(("coded", "text"), CODED)
def test_the_strings_of_appendix_c(coded: str, text: bytes) -> None:
    assert decode(bytes.fromhex(coded)) == text


@pytest.mark.parametrize(
    "coded",
    [
        pytest.param("ffffffff", id="the end's own code"),
        pytest.param("f1e3c2e5f23a6ba0ab90f4ffff", id="a byte of padding"),
        pytest.param("1e", id="padding that is not of ones"),
        pytest.param("f1e3c2e5f23a6ba0ab90f4fe", id="the same after a string"),
    ],
)
def test_what_is_no_code(coded: str) -> None:
    assert decode(bytes.fromhex(coded)) is None
