"""What this process itself has found out about a service's instances, beside what registries say of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final


@dataclass(frozen=True, slots=True)
class Health:
    """How a service's instances fare; the addresses left out are fine.

    `ejected` get no traffic: they failed. `misdirected` get none either: they say that they are not who the registry says.
    `warming` get the given share (0 to 1) of their weight: they are new. `uses_unhealthy`: if all of a pool are unhealthy,
    all of it is used.
    """

    ejected: frozenset[str] = frozenset()
    misdirected: frozenset[str] = frozenset()
    warming: Mapping[str, float] = field(default_factory=dict)
    uses_unhealthy: bool = False

    @property
    def out(self) -> frozenset[str]:
        """The addresses that get no traffic, whatever the registry says."""
        return self.ejected | self.misdirected


SOUND: Final = Health()
"""Nothing is known to be wrong."""
