"""What somebody may have meant who wrote a name that there is not."""

from __future__ import annotations

from collections.abc import Iterable


def closest(word: str, known: Iterable[str], cutoff: float = 0.6, most: int = 1) -> list[str]:
    """The known names most like a word, the likeliest first, at most `most`; `cutoff` is from 0 (anything) to 1 (the same)."""
    import difflib  # few processes ever look at what is misspelt

    return difflib.get_close_matches(word, list(known), n=most, cutoff=cutoff)
