"""The two messages of `grpc.health.v1`, and the prefix that every message has. They are too few for a library.

https://github.com/grpc/grpc/blob/master/doc/health-checking.md
"""

from __future__ import annotations

from typing import Final

PATH: Final = "/grpc.health.v1.Health/Check"

SERVING: Final = 1
NOT_SERVED: Final = -1
"""The message is not a HealthCheckResponse."""

_SERVICE: Final = 0x0A
"""`string service = 1`."""
_STATUS: Final = 0x08
"""`ServingStatus status = 1`."""


def encode_check(service: str) -> bytes:
    """A HealthCheckRequest for a service; empty: the server as a whole."""
    name = service.encode()
    return bytes((_SERVICE,)) + _varint(len(name)) + name if name else b""


def decode_status(message: bytes) -> int:
    """The status in a HealthCheckResponse: 0 (unknown) to 3; NOT_SERVED for what is not one."""
    if not message:
        return 0
    if len(message) != 2 or message[0] != _STATUS or message[1] > 3:
        return NOT_SERVED
    return message[1]


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)
