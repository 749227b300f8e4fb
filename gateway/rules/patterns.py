"""Texts that simple patterns match, for use as examples."""

from __future__ import annotations

import re
from collections.abc import Iterator


def samples_of(pattern: str) -> Iterator[str]:
    """Texts that a simple pattern may match: its alternatives with the commonest pieces filled in."""
    body = pattern.removeprefix("^").removesuffix("$")
    filled = re.sub(r"\(\?[a-zA-Z:]+", "(", body)
    for _ in range(8):
        filled = re.sub(r"\(([^()|]*)\|[^()]*\)", r"(\1)", filled)
    filled = re.sub(r"\[A-Z\]", "A", filled)
    filled = re.sub(r"\[(?:0-9|\\d)[^\]]*\]|\\d", "1", filled)
    filled = re.sub(r"\[\^[^\]]*\]", "x", filled)
    filled = re.sub(r"\[(.)[^\]]*\]|\\w", lambda match: match[1] or "a", filled)
    filled = re.sub(r"(.)\{(\d+)(?:,\d*)?\}", lambda match: match[1] * int(match[2]), filled)
    filled = re.sub(r"\.[*+?]", "x", filled)
    filled = re.sub(r"[()?*+]", "", filled.replace(r"\.", "\0").replace(".", "x").replace("\0", "."))
    yield from (filled.replace("\\", ""), *(part for part in filled.replace("\\", "").split("|")), "", "x", "1")
