"""What gateways and sidecars send only to each other: the `X-Gray-Hop` field.

A registry's list may be old: the address of a baseline instance may belong to a gray one by now. So each request says which
instance it is meant for, and a sidecar that is another one refuses it before its application sees a byte. The refusal says
so in the same field, and the caller turns elsewhere: nothing was done.

In the other direction a sidecar says what its caller cannot see: an error of its application came after an error of somebody
whom that had called. The caller does not hold it against the instance.

    X-Gray-Hop: gray;service=spring-cloud-a     (request: meant for an instance with this tag, of this service)
    X-Gray-Hop: misdirected                     (response: this is not that instance)
    X-Gray-Hop: unavailable                     (response: it is, but its application cannot be reached)
    X-Gray-Hop: callee                          (response or trailers: it failed after a call of its own had failed)
"""

from __future__ import annotations

from typing import Final
from urllib.parse import quote

from gateway import failures

FIELD: Final = b"x-gray-hop"
"""The field's name in lower case."""
_LINE: Final = "X-Gray-Hop: "
LINE: Final = b"X-Gray-Hop: "
"""What a line of this module begins with."""

SIDECAR_KEY: Final = "gray-sidecar"
"""Metadata of an instance behind a sidecar: the service's name as that sidecar knows it. (Consul's keys have no dots.)"""
MTLS_KEY: Final = "gray-mtls"
"""Metadata of an instance that takes mutual TLS: `true`."""

PROTOCOL_KEY: Final = "gray-protocol"
"""Metadata of such an instance: `h2c` if its sidecar speaks HTTP/2 on its plain port, beside HTTP/1.1."""
ADMIN_KEY: Final = "gray-sidecar-admin"
"""Metadata of the same: the port of that sidecar's admin API, if others than its own machine may ask it."""

MAX_SERVICE: Final = 256
"""Characters of a service's name that is sent along: a registry may hold anything."""

MISDIRECTED: Final[bytes] = failures.MISDIRECTED.code.encode()
UNAVAILABLE: Final = b"unavailable"
CALLEE: Final = b"callee"

STATUS_OF: Final[dict[bytes, int]] = {
    MISDIRECTED: failures.MISDIRECTED.status,
    UNAVAILABLE: failures.CONNECT_FAILED.status,
}
"""The status of each refusal. The field in any other response is an application's own: that one may have done something."""


def target(tag: str, service: str = "") -> str:
    """The value that names an instance: its tag and, if it is known, its service as its own sidecar calls it."""
    # What is not Unicode (a lone surrogate in JSON) is not a name of a sidecar's, and equals none.
    return f"{tag};service={quote(service, safe='', errors='replace')}" if 0 < len(service) <= MAX_SERVICE else tag


def line(value: str) -> bytes:
    """A field line with a value of this module, CRLF included."""
    return f"{_LINE}{value}\r\n".encode("ascii")


def fields(line: bytes) -> dict[str, str]:
    """A field line as a name and its value, for clients that are not ours."""
    name, _, value = line.decode("ascii").rstrip("\r\n").partition(": ")
    return {name: value}


def response_line(value: bytes) -> bytes:
    """The line with which a sidecar says one of these of a request, led by CRLF."""
    return b"\r\n" + LINE + value
