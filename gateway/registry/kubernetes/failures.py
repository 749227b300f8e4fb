"""What the API server refuses, as a trouble of a registry."""

from __future__ import annotations

from typing import Final

from gateway.errors import RegistryError
from gateway.kubernetes.errors import ApiError

_REASONS: Final = {401: "auth", 403: "auth", 404: "api", 429: "warming", 503: "warming"}
_WAYS: Final = {"Unreachable": "unreachable", "Timeout": "timeout", "Unauthorized": "auth"}


def registry_error(error: ApiError, needed: str) -> RegistryError:
    """The same with a registry's reason. `needed` says what an account has to be allowed, for one that is not."""
    reason = _WAYS.get(error.reason) if error.status == 0 else _REASONS.get(error.status)
    hint = f"; {needed} are needed" if error.status == 403 else ""
    return RegistryError(reason or "bad_response", f"{error}{hint}")
