"""Tags: what instances and requests are marked with."""

from __future__ import annotations

import re
from typing import Final

BASE: Final = "base"
"""The reserved tag of the baseline: an instance or a request that carries no mark."""

INVALID: Final = "__invalid__"
"""The tag of an instance whose mark cannot be read. It never equals a request's tag, so it gets no traffic."""

_TAG = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,62})")


def is_tag(text: str) -> bool:
    """Whether `text` can be a tag: 1 to 63 letters, digits, `.`, `_`, `-`, starting with a letter or digit."""
    return _TAG.fullmatch(text) is not None
