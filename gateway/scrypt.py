"""Passwords hashed by scrypt (RFC 7914), as text: `scrypt$COST$SALT$DIGEST`, the last two in base64url without padding."""

from __future__ import annotations

import hashlib
import hmac
import os
from typing import Final

from gateway import base64url

COST: Final = 14
"""A power of two: with r = 8 a guess takes 16 MiB and some 50 ms."""
SIZE: Final = 32
"""Bytes of a digest made here."""


def hashed(password: str) -> str:
    """A password as text that others cannot turn around. Takes a while."""
    salt = os.urandom(16)
    return f"scrypt${COST}${base64url.encode(salt)}${base64url.encode(_digest(password.encode(), salt, COST, SIZE))}"


def is_password(password: bytes, text: str, size: int = 0) -> bool:
    """Whether a password is the one of such a text. Takes a while: for a thread.

    `size` is how many bytes the digest must have; 0: as many as it has.
    """
    _, cost, salt, digest = text.split("$")
    wanted = base64url.decode(digest)
    return hmac.compare_digest(_digest(password, base64url.decode(salt), int(cost), size or len(wanted)), wanted)


def _digest(password: bytes, salt: bytes, cost: int, size: int) -> bytes:
    return hashlib.scrypt(password, salt=salt, n=1 << cost, r=8, p=1, maxmem=256 << cost << 3, dklen=size)
