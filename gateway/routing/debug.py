"""The debug header: with the secret in it, a person may see why, and choose a lane that allows it."""

from __future__ import annotations

import hmac
from typing import Final

_LANE: Final = b"lane="


class DebugAccess:
    """Judges what the header says: `SECRET` or `SECRET; lane=GROUP/NAME`."""

    __slots__ = ("_secret",)

    def __init__(self, secret: str) -> None:
        self._secret: bytes = secret.encode()

    def lane_of(self, value: bytes) -> str | None:
        """The requested lane, empty where none is; None where the secret is wrong."""
        secret, _, wish = value.partition(b";")
        if not hmac.compare_digest(secret.strip(b" \t"), self._secret):
            return None
        wish = wish.strip(b" \t")
        return wish[len(_LANE) :].decode("latin-1") if wish.startswith(_LANE) else ""
