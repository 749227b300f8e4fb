"""What a role lets the metrics see."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from gateway.control.reload import ReloadState
from gateway.proxy.origins import Connections
from gateway.registry.registration import KnownRegistration
from gateway.registry.several import Registries
from gateway.routing.snapshot import Snapshot
from gateway.telemetry.counters import Traffic


class RemoteSource(Protocol):
    """What is seen of a remote source of rules."""

    @property
    def name(self) -> str:
        """Its URL."""
        ...

    @property
    def is_up(self) -> bool:
        """Whether the server responds, and has rules there."""
        ...

    @property
    def age(self) -> float | None:
        """Seconds since the server last responded."""
        ...

    @property
    def failures(self) -> Mapping[str, int]:
        """Failed lookups, by reason."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Observed:
    """What a role is at the moment of a scrape. `traffic` is by listener: `entry`, or `inbound` and `outbound` of a sidecar."""

    traffic: Mapping[str, Traffic]
    upstream_connections: Connections
    upstream_requests: Mapping[str, int]
    """Requests under way at instances, by address."""
    registries: Registries
    snapshot: Snapshot
    reload: ReloadState
    failures: Mapping[str, int]
    """How often each daemon has failed, by name."""
    processes: Mapping[str, int]
    """The ids of the program's processes, by name."""
    workers: int = 1
    """Processes that route."""
    worker_restarts: int = 0
    certificates: Mapping[str, float] = field(default_factory=dict)
    """When the listener's certificates expire, in seconds since the epoch, by file."""
    lane_expiries: Mapping[tuple[str, str], float] = field(default_factory=dict)
    """When lanes expire, likewise, by group and name."""
    guard_verdicts: Mapping[tuple[str, str, str], int] = field(default_factory=dict)
    """Windows that guards of lanes have judged, by group, lane and verdict."""
    guards_tripped: Mapping[tuple[str, str], bool] = field(default_factory=dict)
    """Whether the guard of a lane has acted, by group and lane."""
    guard_events: Mapping[str, int] | None = None
    """Events of guards by what became of their delivery, `delivered` or `lost`; None: there are no guards here."""
    remote_rules: Iterable[RemoteSource] = ()
    attached: tuple[bool, int] | None = None
    """Of the Gateway API: whether it is followed without a problem, and how many matches of its routes are in force."""
    service: str | None = None
    """The service that a sidecar stands in front of; None: there is none."""
    bypasses: int | None = None
    """How often a sidecar's application was seen beside it; None: nobody looks."""
    is_application_up: bool | None = None
    """Whether a sidecar's application takes requests; None: there is none to watch."""
    deliveries: Mapping[str, int] | None = None
    """Request records by what became of their delivery, `delivered` or `lost`; None: none are delivered anywhere."""
    drained: Mapping[str, int] = field(default_factory=dict)
    """How many instances people have taken out of traffic here, by service."""
    spans: Mapping[str, int] | None = None
    """Spans by what became of them in this process; None: requests are not traced."""
    registrations: Mapping[str, KnownRegistration] = field(default_factory=dict)
    """What is known of a sidecar's registration, by registry."""
