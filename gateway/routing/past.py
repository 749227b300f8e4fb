"""The terms of rules that were in force before: a request that was decided by them is decided by them at every hop."""

from __future__ import annotations

from typing import Final

from gateway.rules.terms import Terms

MOST: Final = 8
"""Terms that are kept beside those in force."""
KEPT: Final = 600.0
"""Seconds for which they are."""


class PastTerms:
    """Of one process, by digest. `now` is seconds on any steady clock."""

    __slots__ = ("_known",)

    def __init__(self) -> None:
        self._known: dict[str, tuple[Terms, float]] = {}

    def __len__(self) -> int:
        return len(self._known)

    def keep(self, terms: Terms, now: float) -> None:
        """Takes terms that are in force no longer."""
        self._known.pop(terms.digest, None)
        self._known[terms.digest] = (terms, now + KEPT)
        while len(self._known) > MOST or next(iter(self._known.values()))[1] <= now:
            del self._known[next(iter(self._known))]

    def find(self, digest: str, now: float) -> Terms | None:
        """The terms with a digest, if they are kept still."""
        known = self._known.get(digest)
        return None if known is None or known[1] <= now else known[0]
