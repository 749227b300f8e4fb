"""The protocol's one message, against bytes that Google's library made, and against whatever bytes there are."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.registry.nacos.payload import MalformedPayload, Payload, decode, encode

# What protobuf 7.36 makes of Payload(metadata=Metadata(type="A", clientIp="1.2.3.4", headers={"k": "v"}), body=Any(value=b"{}")).
MADE = bytes.fromhex("12141a01413a060a016b1201764207312e322e332e341a0412027b7d")


def test_bytes_of_another_library_are_read_and_written_alike() -> None:
    payload = Payload("A", b"{}", {"k": "v"}, "1.2.3.4")
    assert decode(MADE) == payload
    assert encode(payload) == MADE


def test_what_is_not_known_is_passed_over() -> None:
    """A `type_url` in the Any, a number and a fixed field behind."""
    more = bytes.fromhex("1a090a0378797a12027b7d") + bytes.fromhex("2005") + bytes.fromhex("2d01020304")
    assert decode(bytes.fromhex("12031a0141") + more) == Payload("A", b"{}")


@given(
    st.text(max_size=40),
    st.binary(max_size=400),
    st.dictionaries(st.text(max_size=9), st.text(max_size=300), max_size=4),
    st.text(max_size=20),
)
def test_what_is_written_is_read(kind: str, body: bytes, headers: dict[str, str], client_ip: str) -> None:
    payload = Payload(kind, body, headers, client_ip)
    assert decode(encode(payload)) == payload


@given(st.binary(max_size=60))
def test_any_bytes_are_a_message_or_a_malformed_one(data: bytes) -> None:
    with contextlib.suppress(MalformedPayload):
        decode(data)


@pytest.mark.parametrize("end", range(1, len(MADE)))
def test_a_message_cut_off_is_none_or_less(end: int) -> None:
    with contextlib.suppress(MalformedPayload):
        assert decode(MADE[:end]) != decode(MADE)
