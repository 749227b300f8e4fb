"""The debug header: with the secret in it, a person may ask why, and choose a lane that allows it."""

from __future__ import annotations

import hmac
import json
from typing import Final

from gateway.routing.decision import Decision

_LANE: Final = b"lane="


class DebugAccess:
    """Judges what the header says: `SECRET` or `SECRET; lane=GROUP/NAME`."""

    __slots__ = ("_secret",)

    def __init__(self, secret: str) -> None:
        self._secret: bytes = secret.encode()

    def lane_of(self, value: bytes) -> str | None:
        """The lane asked for, empty where none is; None where the secret is wrong."""
        secret, _, wish = value.partition(b";")
        if not hmac.compare_digest(secret.strip(b" \t"), self._secret):
            return None
        wish = wish.strip(b" \t")
        return wish[len(_LANE) :].decode("latin-1") if wish.startswith(_LANE) else ""


def explain_line(decision: Decision) -> bytes:
    """The `X-Gray-Explain` field, led by CRLF: the decision as JSON in one line of ASCII, without what is not there."""
    facts = {key: value for key, value in decision.as_dict().items() if value is not None}
    return b"\r\nX-Gray-Explain: " + json.dumps(facts, separators=(",", ":")).encode("ascii")
