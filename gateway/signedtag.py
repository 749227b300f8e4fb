"""The form of a signed tag: what it says can be read by those, too, who cannot verify it (`routing/tagsigner.py`)."""

from __future__ import annotations

import re
from typing import Final

from gateway.tags import is_tag

FORM: Final = "_1."
"""What it begins with, and no tag does."""
_MAX: Final = 256
"""Characters of a signed tag that are looked at; ours have at most 115."""

_DIGEST: Final = re.compile(r"[0-9a-f]{12}")


def is_digest(text: str) -> bool:
    """Whether a text from outside can be a digest of terms."""
    return _DIGEST.fullmatch(text) is not None


class Claim:
    """What the value of a carrier says. `terms` is empty if it names none, `expires` 0 if it is not signed."""

    __slots__ = ("expires", "tag", "terms")

    def __init__(self, tag: str, terms: str = "", expires: float = 0.0) -> None:
        self.tag = tag
        self.terms = terms
        self.expires = expires


def is_signed(text: str) -> bool:
    """Whether a carrier's value has been signed by somebody."""
    return text.startswith(FORM)


def read_signed(text: str) -> Claim | None:
    """What a signed tag says, whoever signed it; None if that is not what it is."""
    if len(text) > _MAX or not text.startswith(FORM):
        return None
    parts = text[len(FORM) :].rsplit(".", 3)
    if len(parts) != 4:
        return None
    tag, terms, expires, _ = parts
    if not is_tag(tag) or not is_digest(terms) or len(expires) != 8:
        return None
    try:
        return Claim(tag, terms, float(int(expires, 16)))
    except ValueError:
        return None
