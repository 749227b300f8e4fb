"""The buckets that values fall into, of which shares are made."""

from __future__ import annotations

import hashlib
from typing import Final

BUCKETS: Final = 10_000
"""A hundredth of a percent each."""


def bucket_of(salt: str, value: str) -> int:
    """The bucket, 0 to 9,999, that a value falls into: the same one everywhere and always, for the same salt."""
    digest = hashlib.sha256(f"{salt}\0{value}".encode("utf-8", "surrogatepass")).digest()
    return int.from_bytes(digest[:8], "big") % BUCKETS
