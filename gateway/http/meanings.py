"""What the fields of a request mean to this program: one table, an entry a name.

A field of the program's own is an entry here, and in `response` if it is responded with, too.
"""

from __future__ import annotations

from typing import Final

from gateway import copymark, hop
from gateway.http.forwarded import (
    FORWARDED,
    FORWARDED_ELEMENTS,
    FORWARDED_FOR,
    FORWARDED_HOST,
    FORWARDED_PREFIX,
    FORWARDED_PROTO,
)
from gateway.http.forwarding import FAMILIES, FORWARDING
from gateway.telemetry.tracecontext import ID_FIELDS

# What a field means to the proxy. DROP: hop-by-hop, or something a client may not say.
HOST: Final = 1
CONNECTION: Final = 2
CONTENT_LENGTH: Final = 3
TRANSFER_ENCODING: Final = 4
EXPECT: Final = 5
UPGRADE: Final = 6
DROP: Final = 7
TAG: Final = 8
BAGGAGE: Final = 9
TRACEPARENT: Final = 10
TRACESTATE: Final = 11
GRPC_TIMEOUT: Final = 12
TE: Final = 13
VIA: Final = 14
DEBUG: Final = 15
COPY: Final = 16
TRAILER: Final = 17
HOP: Final = 18
TRACE_ID: Final = 20
"""Of the first of `ID_FIELDS`; the others follow, below FORWARDED."""
AFTER_TRACE_IDS: Final = TRACE_ID + len(ID_FIELDS)

MEANINGS: Final[dict[bytes, int]] = {
    **dict.fromkeys(FORWARDING, FORWARDED),
    b"x-forwarded-for": FORWARDED_FOR,
    b"x-forwarded-proto": FORWARDED_PROTO,
    b"x-forwarded-host": FORWARDED_HOST,
    b"x-forwarded-prefix": FORWARDED_PREFIX,
    b"forwarded": FORWARDED_ELEMENTS,
    b"host": HOST,
    b"connection": CONNECTION,
    b"content-length": CONTENT_LENGTH,
    b"transfer-encoding": TRANSFER_ENCODING,
    b"expect": EXPECT,
    b"upgrade": UPGRADE,
    b"keep-alive": DROP,
    b"proxy-connection": DROP,
    b"proxy-authorization": DROP,
    b"te": TE,
    b"trailer": TRAILER,
    b"http2-settings": DROP,
    b"baggage": BAGGAGE,
    b"traceparent": TRACEPARENT,
    b"tracestate": TRACESTATE,
    b"grpc-timeout": GRPC_TIMEOUT,
    **{field.name: TRACE_ID + number for number, field in enumerate(ID_FIELDS)},
    hop.FIELD: HOP,
    copymark.FIELD: COPY,
    b"via": VIA,
    # The program's own: what it responds with under this name, and a secret, under the name that it has by default.
    b"x-gray-explain": DROP,
    b"x-gray-fault": DROP,
    b"x-gray-debug": DROP,
}
# Names that this program may give a meaning are never a client's, whichever version of it is behind this one.
FAMILY_MEANINGS: Final[dict[bytes, int]] = dict.fromkeys([*FAMILIES, b"x-gray-"], FORWARDED)


def is_of_proxies(name: bytes) -> bool:
    """Whether only proxies may send a field with this (lower-case) name."""
    return MEANINGS.get(name, 0) >= FORWARDED or name.startswith(tuple(FAMILIES))
