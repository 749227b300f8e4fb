"""The data plane in one process: everything that is needed to route, and nothing that decides what.

Counters and connections live as long as a plane does; builds and snapshots come and go above them. An entry gateway with one
worker has one beside the control plane; with more, each worker has one, and the supervisor one that does not listen, which
explains.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from typing import Generic, TypeVar

from gateway.app.balancing import make_choosers
from gateway.app.build import Build
from gateway.app.parts import (
    adjust_context,
    make_log_file,
    make_recorder,
    make_span_recorder,
)
from gateway.control.publish import Publisher
from gateway.instance import Instance
from gateway.live.feed import Taker
from gateway.proxy.context import Context
from gateway.proxy.origins import Origins
from gateway.proxy.recorder import Recorder
from gateway.proxy.spans import SpanRecorder
from gateway.routing.carriers import Carriers
from gateway.routing.routes import RouteTable
from gateway.routing.snapshot import Snapshot
from gateway.rules.environment import MatchEnvironment
from gateway.rules.ruleset import RuleSet
from gateway.settings import ServingSettings
from gateway.telemetry.counters import Traffic
from gateway.telemetry.linefile import LineFile

S = TypeVar("S", bound=ServingSettings)


class Plane(ABC, Generic[S]):
    """What the planes of both roles have: a build in force, the snapshot of it, and an access log.

    `origins` and `traffic` are of the instances that are chosen here. `taker` takes the records of requests.
    """

    def __init__(self, settings: S, origins: Origins, traffic: Traffic) -> None:
        self._settings = settings
        carriers = settings.carriers
        self._carriers = Carriers(carriers.header, carriers.baggage, carriers.ids)
        # The publisher is the only one to give the routers a new snapshot.
        self._publisher = Publisher(self._publish, origins, traffic, settings.ejection)
        self._load = origins.in_flight
        self._build: Build[S] | None = None
        self._log_file: LineFile | None = None
        self._contexts: list[Context] = []
        self.taker = Taker()

    @property
    def snapshot(self) -> Snapshot:
        """What is routed by now."""
        return self._publisher.snapshot

    @property
    def rules(self) -> RuleSet:
        """The rules in force."""
        return RuleSet() if self._build is None else self._build.rules

    @property
    def around(self) -> MatchEnvironment:
        """What conditions look at beside the request."""
        return MatchEnvironment(time.time) if self._build is None else self._build.around

    def knows(self, service: str, tag: str) -> bool:
        """Whether a service, and (unless empty) a tag of it, are known to the registry or to the rules."""
        return self._publisher.knows(service, tag)

    def configure(self, revision: int, build: Build[S]) -> None:
        """Puts a build in force, as far as it can change while running."""
        self._build = build
        self._secure(build)
        self._carriers.sign_with(build.signer)
        settings = build.settings
        for context in self._contexts:
            adjust_context(context, settings)
        choosers = make_choosers(settings, self._load)
        self._publisher.configure(revision, build.compiled, self._routes(build), settings.services, choosers)

    def service_changed(self, service: str, instances: tuple[Instance, ...]) -> None:
        """Takes what the registry says of one service now."""
        self._publisher.service_changed(service, instances)

    def service_removed(self, service: str) -> None:
        """Takes that a service is not routed to any more."""
        self._publisher.service_removed(service)

    def reopen_log(self) -> None:
        """Reopens the access log, if there is one."""
        if self._log_file is not None:
            self._log_file.reopen()

    async def close(self) -> None:
        """Closes everything at once."""
        await self._publisher.close()
        await self._close_listeners()
        if self._log_file is not None:
            self._log_file.close()

    def _open_log(self) -> None:
        """Raises StartError if it cannot be opened."""
        self._log_file = make_log_file(self._settings)

    def _adjusted(self, context: Context) -> Context:
        """A listener's context, which from now on follows the build in force."""
        self._contexts.append(context)
        if self._build is not None:
            adjust_context(context, self._build.settings)
        return context

    def _recorder(self, listener: str, traffic: Traffic) -> Recorder | None:
        """What keeps the requests of a listener for people, None if that is off."""
        recorder = make_recorder(self._settings, listener, traffic)
        if recorder is not None:
            self.taker.recorders.append(recorder)
        return recorder

    def _span_recorder(self, listener: str, traffic: Traffic, scheme: str = "http") -> SpanRecorder | None:
        """What keeps the requests of a listener for traces, None if they are not traced."""
        recorder = make_span_recorder(self._settings, listener, traffic, scheme, self._is_secured)
        if recorder is not None:
            self.taker.span_recorders.append(recorder)
        return recorder

    def _is_secured(self, service: str, instance: Instance) -> bool:
        """Whether an instance of a service speaks TLS."""
        return self._build is not None and self._build.secured.of(service, instance) is not None

    def _routes(self, build: Build[S]) -> RouteTable:
        """The routes that a build is put in force with."""
        return build.routes

    @abstractmethod
    def _publish(self, snapshot: Snapshot) -> None:
        """Gives the routers a snapshot."""

    @abstractmethod
    def _secure(self, build: Build[S]) -> None:
        """Takes how services are spoken to; returns how those are that are chosen here."""

    @abstractmethod
    async def _close_listeners(self) -> None:
        """Closes what accepts requests, and their connections."""
