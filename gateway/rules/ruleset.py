"""All rules together: what was read from every file, sound and in order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gateway.rules.model import LaneGroup


@dataclass(frozen=True, slots=True)
class RuleSet:
    """`groups` in the order in which they are tried; `segments` holds the values that conditions name."""

    groups: tuple[LaneGroup, ...] = ()
    segments: Mapping[str, frozenset[str]] = field(default_factory=dict)

    @staticmethod
    def of(groups: Sequence[LaneGroup], segments: Mapping[str, frozenset[str]] | None = None) -> RuleSet:
        """Rules of groups as they were read."""
        return RuleSet(tuple(sorted(groups, key=lambda group: group.order)), segments or {})
