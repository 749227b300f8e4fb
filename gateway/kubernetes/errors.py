"""What the API server refuses, in words of ours."""

from __future__ import annotations

import json
from typing import Any

from gateway.errors import GatewayError
from gateway.printable import printable

LONGEST_SHOWN = 300


class ApiError(GatewayError):
    """A call that did not succeed.

    `status` is HTTP's, 0 if there was no response; `reason` the API's word (`Forbidden`, `NotFound`, `Conflict`, `Expired`,
    …) or one of ours (`Unreachable`, `Timeout`, `BadResponse`).
    """

    def __init__(self, status: int, reason: str, message: str) -> None:
        self.status = status
        self.reason = reason
        super().__init__(printable(message)[:LONGEST_SHOWN])

    @property
    def is_expired(self) -> bool:
        """Whether a resource version is too old: the collection has to be listed again."""
        return self.status == 410


def refused(status: int, body: bytes, what: str) -> ApiError:
    """The error of a response whose status is 400 or more. Its body is a `Status` object, if it comes from the API server."""
    try:
        found: Any = json.loads(body)
    except ValueError:
        found = None
    return from_status(found, what, status)


def from_status(found: Any, what: str, status: int = 0) -> ApiError:
    """The error that a `Status` object stands for (meta/v1)."""
    if not isinstance(found, dict) or found.get("kind") != "Status":
        return ApiError(status, "BadResponse", f"{what}: status {status}")
    code, reason, message = found.get("code"), found.get("reason"), found.get("message")
    if isinstance(code, int) and not isinstance(code, bool) and 400 <= code < 600:
        status = code
    shown = message if isinstance(message, str) and message else f"status {status}"
    return ApiError(status, reason if isinstance(reason, str) and reason else "Unknown", f"{what}: {shown}")
