"""What a role lets the metrics see."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol

from gateway.control.reload import ReloadState
from gateway.proxy.origin import Connections
from gateway.registry.registration import KnownRegistration
from gateway.registry.several import Registries
from gateway.routing.snapshot import Snapshot
from gateway.telemetry.counters import Traffic


@dataclass(frozen=True, slots=True)
class Observed:
    """What is scraped. `traffic` is by listener: `entry`, or `inbound` and `outbound` of a sidecar."""

    traffic: Callable[[], Mapping[str, Traffic]]
    upstream_connections: Callable[[], Connections]
    registries: Registries | None
    snapshot: Callable[[], Snapshot]
    reload: Callable[[], ReloadState] | None
    workers: Callable[[], tuple[int, int]]
    """Workers that run, and restarts so far."""
    certificates: Callable[[], Mapping[str, float]]
    """When the listener's certificates expire, by file."""
    lanes: Callable[[], Mapping[tuple[str, str], float]]
    """When lanes expire, by group and name."""
    remote_rules: Callable[[], Iterable[RemoteSource]]
    failures: Callable[[], Mapping[str, int]]
    """How often each daemon has failed, by name."""
    application: Callable[[], bool] | None = None
    """Whether a sidecar's application takes requests; None: there is none to watch."""
    registrations: Callable[[], Mapping[str, KnownRegistration]] = dict
    """What is known of a sidecar's registration, by registry."""
    bypasses: Callable[[], int] | None = None
    """How often a sidecar's application was seen beside it; None: nobody looks."""
    processes: Callable[[], Mapping[str, int]] = lambda: {"main": os.getpid()}
    """The ids of the program's processes, by name."""


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
        """Failed look-ups, by reason."""
        ...
