"""The status of a call: its codes, and what an HTTP status without one means.

https://github.com/grpc/grpc/blob/master/doc/statuscodes.md and http-grpc-status-mapping.md
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

NAMES: Final = (
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
)
"""By code."""
OK: Final = 0
UNKNOWN: Final = 2
DEADLINE_EXCEEDED: Final = 4
PERMISSION_DENIED: Final = 7
UNIMPLEMENTED: Final = 12
INTERNAL: Final = 13
UNAVAILABLE: Final = 14
DATA_LOSS: Final = 15
UNAUTHENTICATED: Final = 16
NO_STATUS: Final = -1
"""None was given."""

_OF_HTTP: Final[Mapping[int, int]] = {
    400: INTERNAL,
    401: UNAUTHENTICATED,
    403: PERMISSION_DENIED,
    404: UNIMPLEMENTED,
    429: UNAVAILABLE,
    502: UNAVAILABLE,
    503: UNAVAILABLE,
    # A client would take 504 for UNAVAILABLE, and try again: this program knows better that time is up.
    504: DEADLINE_EXCEEDED,
}
_FAULTS: Final = frozenset({UNKNOWN, INTERNAL, UNAVAILABLE, DATA_LOSS})
_ERRORS: Final = _FAULTS | {DEADLINE_EXCEEDED, UNIMPLEMENTED}
ERROR_NAMES: Final = frozenset({NAMES[code] for code in _ERRORS})
"""The names of the codes of which `is_error` says yes."""


def read_status(value: bytes) -> int:
    """The code that a `grpc-status` field says; UNKNOWN for what is not one."""
    if 0 < len(value) <= 2 and value.isdigit() and int(value) < len(NAMES):
        return int(value)
    return UNKNOWN


def status_of_http(status: int) -> int:
    """The code of a response by this program with an HTTP status of 400 or above."""
    return _OF_HTTP.get(status, UNKNOWN)


def is_fault(status: int) -> bool:
    """Whether a code is to an instance what 5xx is in HTTP.

    DEADLINE_EXCEEDED is not: the client chose the deadline. UNIMPLEMENTED is not: it called what is not there.
    """
    return status in _FAULTS


def is_error(status: int) -> bool:
    """Whether a call that ended with a code failed on the server's side, as a request that ended with 5xx did.

    Semantic conventions of OpenTelemetry for gRPC, the status of a server's span.
    """
    return status in _ERRORS
