"""The sticky cookie: signed by the gateway, so that nobody walks into a lane by writing one.

The value is `group/lane~expiry~signature`: the expiry in seconds since the epoch (hexadecimal), the signature HMAC-SHA256
over what is before it, its first 16 bytes in base64url (RFC 2104, RFC 4648 §5).
"""

from __future__ import annotations

import base64
import hashlib
import hmac

from gateway.rules.context import MatchContext
from gateway.rules.fields import Clock


class CookieSigner:
    """Writes and reads the cookie of one name. All gateways in front of the same services need the same secret."""

    def __init__(self, name: str, secret: str, clock: Clock) -> None:
        self.name = name
        self._key = hashlib.sha256(b"gray-gateway sticky\0" + secret.encode()).digest()
        self._clock = clock

    def lane_of(self, context: MatchContext) -> str:
        """`group/lane` of a sound cookie that has not expired; empty otherwise."""
        value = context.cookie(self.name)
        if value is None:
            return ""
        content, _, signature = value.rpartition("~")
        lane, _, expiry = content.rpartition("~")
        if not lane or not hmac.compare_digest(signature.encode("utf-8", "replace"), self._sign(content)):
            return ""
        return lane if int(expiry, 16) > self._clock() else ""

    def value(self, lane: str, age: int) -> str:
        """A cookie for `group/lane`, sound for `age` seconds."""
        content = f"{lane}~{int(self._clock()) + age:x}"
        return f"{content}~{self._sign(content).decode()}"

    def is_fresh(self, context: MatchContext, lane: str, age: int) -> bool:
        """Whether the request has a cookie of this lane that is good for more than half of its age still."""
        if self.lane_of(context) != lane:
            return False
        value = context.cookie(self.name)
        return value is not None and int(value.split("~")[-2], 16) - self._clock() > age / 2

    def _sign(self, content: str) -> bytes:
        digest = hmac.digest(self._key, content.encode("utf-8", "replace"), "sha256")
        return base64.urlsafe_b64encode(digest[:16]).rstrip(b"=")
