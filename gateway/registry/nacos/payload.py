"""The one message of Nacos' gRPC protocol, to bytes and back.

Both services (`Request/request`, unary, and `BiRequestStream/requestBiStream`, both ways) carry nothing but `Payload`:

    message Metadata { string type = 3; string clientIp = 8; map<string, string> headers = 7; }
    message Payload  { Metadata metadata = 2; google.protobuf.Any body = 3; }

(alibaba/nacos `api/src/main/proto/nacos_grpc_service.proto`). What is meant is JSON in `body.value`. Four kinds of field, all
of them lengths and bytes: a library of a hundred times that size would be loaded for it. The encoding:
https://protobuf.dev/programming-guides/encoding/.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

UNARY: Final = "/Request/request"
STREAM: Final = "/BiRequestStream/requestBiStream"
_LENGTH: Final = 2
_WIDTHS: Final = {1: 8, 5: 4}
"""Bytes of the wire types that have a width (I64 and I32)."""


class MalformedPayload(Exception):
    """Bytes that are not Payload."""


@dataclass(frozen=True, slots=True)
class Payload:
    """A message: which one, its JSON, and what says who sends it (`accessToken`)."""

    type: str
    body: bytes = b"{}"
    headers: Mapping[str, str] = field(default_factory=dict)
    client_ip: str = ""


def encode(payload: Payload) -> bytes:
    """The message as bytes."""
    metadata = _text(3, payload.type)
    for name, value in payload.headers.items():
        metadata += _field(7, _text(1, name) + _text(2, value))
    if payload.client_ip:
        metadata += _text(8, payload.client_ip)
    return _field(2, metadata) + _field(3, _field(2, payload.body))


def decode(data: bytes) -> Payload:
    """The message that these bytes are; fields that are not known are passed over. Raises MalformedPayload."""
    try:
        return _decode(data)
    except (IndexError, UnicodeDecodeError) as error:
        raise MalformedPayload(f"{len(data)} bytes are not a Payload") from error


def _decode(data: bytes) -> Payload:
    kind, body, client_ip = "", b"", ""
    headers: dict[str, str] = {}
    for number, content in _fields(data):
        if number == 2:
            for inner, value in _fields(content):
                if inner == 3:
                    kind = value.decode()
                elif inner == 8:
                    client_ip = value.decode()
                elif inner == 7:
                    entry = dict(_fields(value))
                    headers[entry.get(1, b"").decode()] = entry.get(2, b"").decode()
        elif number == 3:
            body = dict(_fields(content)).get(2, b"")
    return Payload(kind, body, headers, client_ip)


def _fields(data: bytes) -> Iterator[tuple[int, bytes]]:
    """The fields of a message that have bytes for a value, by number."""
    place = 0
    while place < len(data):
        key, place = _number(data, place)
        number, wire_type = key >> 3, key & 7
        if wire_type == 0:
            _, place = _number(data, place)
        elif wire_type == _LENGTH:
            length, place = _number(data, place)
            if place + length > len(data):
                raise IndexError(place)
            yield number, data[place : place + length]
            place += length
        elif wire_type in _WIDTHS:
            place += _WIDTHS[wire_type]
            if place > len(data):
                raise IndexError(place)
        else:
            raise MalformedPayload(f"a field of type {wire_type} is not one of Payload")


def _number(data: bytes, place: int) -> tuple[int, int]:
    """The varint at a place, and the place behind it."""
    value = 0
    for shift in range(0, 64, 7):
        byte = data[place]
        place += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, place
    raise MalformedPayload("a number has more than ten bytes")


def _field(number: int, content: bytes) -> bytes:
    return bytes((number << 3 | _LENGTH,)) + _varint(len(content)) + content


def _text(number: int, content: str) -> bytes:
    return _field(number, content.encode())


def _varint(value: int) -> bytes:
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)
