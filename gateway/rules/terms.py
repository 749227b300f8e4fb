"""Terms: what the rules say about requests that are marked already. A digest names them, and travels with the tag.

Entries and sidecars that read the same rules have the same terms, whichever lanes they match themselves. What only matching
looks at (conditions, shares, segments) is no part of them.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping


class TagRules:
    """What all lanes with one tag say together. `services`: None if one of them is not limited."""

    __slots__ = ("services", "strict")

    def __init__(self, services: frozenset[str] | None, strict: bool) -> None:
        self.services = services
        self.strict = strict


class Terms:
    """Of one set of rules at one time. Immutable. `digest` is the same in every process exactly if the terms are."""

    __slots__ = ("_rejoining", "_tags", "digest")

    def __init__(self, tags: Mapping[str, TagRules], rejoining: Mapping[str, frozenset[str] | None]) -> None:
        self._tags: dict[str, TagRules] = dict(tags)
        self._rejoining: dict[str, frozenset[str] | None] = dict(rejoining)
        said = [
            [[tag, _listed(rules.services), rules.strict] for tag, rules in sorted(tags.items())],
            [[tag, _listed(services)] for tag, services in sorted(rejoining.items())],
        ]
        self.digest: str = hashlib.sha256(json.dumps(said).encode("ascii")).hexdigest()[:12]

    def holds(self, tag: str, service: str) -> bool:
        """Whether some lane with this tag may use this service's tagged instances; true of tags no lane has."""
        rules = self._tags.get(tag)
        return rules is None or rules.services is None or service in rules.services

    def is_strict(self, tag: str) -> bool:
        """Whether every open lane with this tag is strict; false of tags no lane has."""
        rules = self._tags.get(tag)
        return rules is not None and rules.strict

    def rejoining(self, service: str) -> frozenset[str]:
        """The tags whose instances of this service belong to its baseline, as all the tag's lanes are closed."""
        if not self._rejoining:
            return frozenset()
        return frozenset([tag for tag, services in self._rejoining.items() if services is None or service in services])


def _listed(services: frozenset[str] | None) -> list[str] | None:
    return None if services is None else sorted(services)
