"""The match environment: what conditions look at besides the request. The time, what tokens say, and where rules are matched."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gateway.rules.checks import NO_CLAIMS
from gateway.rules.context import MatchContext
from gateway.rules.fields import Claims, Clock
from gateway.rules.match import Signer

if TYPE_CHECKING:
    from gateway.rules.model import LaneGroup

EVERY_ENTRY = "*"
"""In `entry`: every entry gateway."""


def no_claims(_: MatchContext) -> Mapping[str, Any]:
    """For a gateway without keys: nobody has a token that is accepted."""
    return NO_CLAIMS


@dataclass(frozen=True, slots=True)
class Place:
    """Where rules are matched: an entry gateway of some name, or the sidecar of a service."""

    name: str = "gateway"
    is_entry: bool = True

    def takes(self, group: LaneGroup) -> bool:
        """Whether a group's lanes are matched here."""
        return self.name in group.entry or (self.is_entry and EVERY_ENTRY in group.entry)


@dataclass(frozen=True, slots=True)
class MatchEnvironment:
    """What is the same for all requests that are matched in one place; what is one request's is its match context.

    `clock` gives seconds since the epoch; `signer` is None if cookies cannot be signed.
    """

    clock: Clock
    claims: Claims = no_claims
    signer: Signer | None = None
    place: Place = Place()
