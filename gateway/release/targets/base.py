"""The seam between orders and what runs applications.

A target is told what should be, and shows what is. It goes on by itself until the two are the same; to tell it the same thing
twice is to tell it once.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol


class Phase(StrEnum):
    """How a replica is."""

    STARTING = "starting"
    READY = "ready"
    """Registered, and takes requests."""
    LEAVING = "leaving"
    """Deregisters, and finishes what is in flight."""
    BROKEN = "broken"
    """Ends again and again."""


@dataclass(frozen=True, slots=True)
class Place:
    """An application in an environment."""

    environment: str
    namespace: str
    application: str


@dataclass(frozen=True, slots=True)
class Revision:
    """What is to run: a version, and everything that it is made of."""

    name: str
    """The version, and a few letters of a hash of the rest: a version with other values is another revision."""
    version: str
    service: str
    manifest: str
    images: Mapping[str, str]
    commands: Mapping[str, list[str]]

    @classmethod
    def of(
        cls, version: str, service: str, manifest: str, images: Mapping[str, str], commands: Mapping[str, list[str]]
    ) -> Revision:
        """A revision, with its name."""
        content = json.dumps([version, service, manifest, dict(images), dict(commands)], sort_keys=True)
        name = f"{version}-{hashlib.sha256(content.encode()).hexdigest()[:8]}"
        return cls(name, version, service, manifest, dict(images), dict(commands))


@dataclass(frozen=True, slots=True)
class Replica:
    """One instance, as it is now."""

    id: str
    revision: str
    version: str
    phase: Phase
    service: str
    tag: str
    address: str
    """What is registered, host:port; empty: not known yet."""
    admin: str
    """The admin API of its sidecar, host:port; empty: it has none."""
    restarts: int = 0
    message: str = ""
    """What is wrong, or what it waits for."""


class Target(Protocol):
    """What runs applications. Each raises GatewayError where it cannot be told, or asked, now."""

    async def replicas_wanted(self, revision: Revision) -> int:
        """How many replicas the manifest of a revision asks for."""
        ...

    async def observe(self, place: Place) -> tuple[Replica, ...]:
        """Every replica that there is, in whatever phase."""
        ...

    async def apply(self, place: Place, revision: Revision, replicas: int) -> None:
        """So many replicas of a revision are to run; those of others stay as they are."""
        ...

    async def scale(self, place: Place, revision: str, replicas: int) -> None:
        """So many replicas of a revision that was applied are to run. One too many leaves: deregistered, drained, stopped."""
        ...

    async def remove(self, place: Place) -> None:
        """Nothing is to run there."""
        ...

    async def admins(self) -> dict[str, str]:
        """The admin API of every sidecar that runs, in every place, and the service that it stands beside."""
        ...
