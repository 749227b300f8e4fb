"""The signed tag: what gateways and sidecars with `carriers.keys` send each other instead of the bare tag.

    _1.gray.4f2a90c81b7e.6a2a9c10.Zx3…    (form, tag, digest of the rules' terms, expiry, signature)

The expiry is in seconds since the epoch (hexadecimal), the signature HMAC-SHA256 over everything before it, its first 16 bytes
in base64url (RFC 2104 §5, RFC 4648 §5). No tag begins with `_`. Letters, digits, `_`, `-` and `.` are what every propagator of
W3C Baggage leaves as they are; one that encodes more is decoded before this.

A signature is made once for a tag, its terms and a part of the lifetime, and checked once for each value: requests cost none.
"""

from __future__ import annotations

import base64
import hmac
from collections.abc import Callable, Sequence
from typing import Final

from gateway.signedtag import FORM, Claim, read_signed

FORGED: Final = "forged"
"""The signature is of none of our keys, or what is signed has not the form of a signed tag."""
EXPIRED: Final = "expired"
"""It was ours, and is too old."""
UNSIGNED: Final = "unsigned"
"""It is a bare tag."""
VERIFIED: Final = "verified"
"""It is ours, and in time."""

_PARTS: Final = 4
"""Of a lifetime: for each, every tag is signed anew."""


class TagSigner:
    """Signs with the first key, and accepts the first two.

    `lifetime` is for how many seconds a signature is good at least; at most it is a quarter more. `is_required`: a bare tag is
    not accepted. `clock` gives seconds since the epoch.
    """

    __slots__ = ("_ends", "_keys", "_lifetime", "clock", "is_required")

    def __init__(
        self, keys: Sequence[bytes], clock: Callable[[], float], lifetime: float, *, is_required: bool = True
    ) -> None:
        self._keys: list[bytes] = list(keys[:2])
        self._lifetime = lifetime
        self._ends: float = 0.0
        self.clock = clock
        self.is_required = is_required

    def renews(self) -> bool:
        """Whether what was signed before is to be signed anew, as of now. Then it is not until the next part of the lifetime."""
        now = self.clock()
        part = self._lifetime / _PARTS
        # The clock may have been set back, too: what is signed must not outlive its time by that.
        if self._ends - part <= now < self._ends:
            return False
        self._ends = (now // part + 1) * part
        return True

    def sign(self, tag: str, terms: str) -> str:
        """A signed tag of this part of the lifetime, as `renews` found it."""
        content = f"{FORM}{tag}.{terms}.{int(self._ends + self._lifetime):08x}"
        return f"{content}.{_signature(self._keys[0], content)}"

    def verify(self, text: str) -> Claim | None:
        """What a signed tag of ours says, expired or not; None if it is not ours."""
        claim = read_signed(text)
        if claim is None:
            return None
        content, _, signature = text.rpartition(".")
        given = signature.encode("utf-8", "replace")
        for key in self._keys:
            if hmac.compare_digest(_signature(key, content).encode("ascii"), given):
                return claim
        return None


def _signature(key: bytes, content: str) -> str:
    digest = hmac.digest(key, b"gray-gateway tag\0" + content.encode("utf-8", "replace"), "sha256")
    return base64.urlsafe_b64encode(digest[:16]).rstrip(b"=").decode("ascii")
