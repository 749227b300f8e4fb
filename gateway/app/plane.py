"""The data plane in one process: everything that is needed to route, and nothing that decides what.

Counters and connections live as long as a plane does; builds and snapshots come and go above them. An entry gateway with one
worker has one beside the control plane; with more, each worker has one, and the supervisor one that does not listen, which
explains.
"""

from __future__ import annotations

import asyncio
import random
import socket
import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from gateway.app.balancing import make_choosers
from gateway.app.build import Build, questions_of
from gateway.app.parts import (
    adjust_context,
    make_context,
    make_log_file,
    make_origins,
    make_recorder,
    make_span_recorder,
    make_tracing,
)
from gateway.app.routes import make_routes
from gateway.control.publish import Publisher
from gateway.daemons import failures, keep_running
from gateway.http.masking import Mask
from gateway.http.response import ResponseReader
from gateway.instance import Instance
from gateway.live.feed import Taker
from gateway.proxy.context import Context
from gateway.proxy.copies import Copies
from gateway.proxy.origins import Origins
from gateway.proxy.recorder import Recorder
from gateway.proxy.server import Listener
from gateway.proxy.spans import SpanRecorder
from gateway.routing.carriers import Carriers
from gateway.routing.debug import DebugAccess
from gateway.routing.entry import EntryRouter
from gateway.routing.plans import NO_ROUTES, RouteSet
from gateway.routing.routes import RouteTable
from gateway.routing.snapshot import Snapshot
from gateway.rules.environment import MatchEnvironment
from gateway.rules.ruleset import RuleSet
from gateway.settings import GatewaySettings, ServingSettings
from gateway.telemetry.counters import Traffic
from gateway.telemetry.linefile import LineFile
from gateway.tls.certificates import ListenerTLS
from gateway.tls.mesh import Secured

if TYPE_CHECKING:
    from gateway.live.mirrors import Mirrors
    from gateway.permission.calls import Calls

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
        secured = self._secure(build)
        self._carriers.sign_with(build.signer)
        settings = build.settings
        for context in self._contexts:
            adjust_context(context, settings)
        choosers = make_choosers(settings, self._load)
        self._publisher.configure(revision, build.compiled, self._routes(build), settings.services, secured, choosers)

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
    def _secure(self, build: Build[S]) -> Secured:
        """Takes how services are spoken to; returns how those are that are chosen here."""

    @abstractmethod
    async def _close_listeners(self) -> None:
        """Closes what accepts requests, and their connections."""


class EntryPlane(Plane[GatewaySettings]):
    """Of an entry gateway."""

    def __init__(self, settings: GatewaySettings) -> None:
        self.traffic = Traffic()
        self.origins = make_origins(settings)
        super().__init__(settings, self.origins, self.traffic)
        self.router = EntryRouter(
            self.snapshot,
            self._carriers,
            random.Random(),
            tuple(settings.trusted),
            settings.trace_sampled,
            None if settings.debug is None else DebugAccess(settings.debug.secret),
            tracing=make_tracing(settings, settings.trace_sampled),
        )
        self._attached = NO_ROUTES
        self._calls: Calls | None = None
        self._copies = Copies(self.traffic)
        self._mirrors: Mirrors | None = None
        self._mirroring: asyncio.Task[None] | None = None
        self._listener: Listener | None = None
        self._tls: ListenerTLS | None = None

    @property
    def attached(self) -> RouteSet:
        """The routes that are attached from elsewhere."""
        return self._attached

    def configure(self, revision: int, build: Build[GatewaySettings]) -> None:
        """See Plane. What sends copies is loaded when a lane first mirrors, and stays; so does what asks about requests."""
        if build.guards is not None and build.guards.has_services:
            if self._calls is None:
                from gateway.permission.calls import Calls

                self._calls = Calls()
            build.guards.call_by(self._calls)
        super().configure(revision, build)
        if build.compiled.mirrors is not None and self._mirroring is None:
            from gateway.live.mirrors import Mirrors

            limits = self._settings.limits
            self._mirrors = Mirrors(
                self._copies,
                snapshot=lambda: self.snapshot,
                carriers=self._carriers,
                origins=self.origins,
                reader=ResponseReader(head_bytes=limits.head_bytes, header_count=limits.header_count),
                mask=Mask(self._settings.records.mask),
                random=random.Random(),
            )
            self._mirroring = keep_running("sending copies of requests", self._mirrors.run)

    @property
    def mirrored(self) -> list[dict[str, Any]]:
        """The latest copies whose response was different, as plain values."""
        return [] if self._mirrors is None else list(self._mirrors.samples)

    def attach(self, routes: RouteSet) -> None:
        """Routes by these beside those of the configuration, from now on."""
        self._attached = routes
        if self._build is not None:
            self._publisher.route_by(self._routes(self._build))

    def _routes(self, build: Build[GatewaySettings]) -> RouteTable:
        if self._attached is NO_ROUTES:
            return build.routes
        return make_routes(build.settings, build.around.claims, self._attached, questions_of(build.guards))

    async def listen(self, sockets: Sequence[socket.socket]) -> None:
        """Begins to serve on listening sockets. Raises StartError if the access log cannot be opened."""
        settings = self._settings
        self._open_log()
        tls = self._tls if settings.tls is not None else None
        scheme = "http" if tls is None else "https"
        context = make_context(
            settings,
            "entry",
            router=self.router,
            origins=self.origins,
            traffic=self.traffic,
            log_file=self._log_file,
            ejector=self._publisher.ejector,
            scheme=scheme,
            recorder=self._recorder("entry", self.traffic),
            spans=self._span_recorder("entry", self.traffic, scheme),
            reads_proxy_header=settings.proxy_protocol,
        )
        context.copies = self._copies
        self._listener = Listener(sockets[0], self._adjusted(context), tls, sockets[1:])
        await self._listener.start()

    async def drain(self, delay: float, timeout: float) -> bool:
        """See `Listener.drain`."""
        return self._listener is None or await self._listener.drain(delay, timeout)

    def statistics(self) -> dict[str, Any]:
        """What this process has counted and has open, as built-in types."""
        if self._log_file is not None:
            self.traffic.log_dropped = self._log_file.dropped
        return {
            "traffic": self.traffic.dump(),
            "origins": self.origins.statistics(),
            "requests": self.origins.requests(),
            "failures": dict(failures),
            "mirrored": self.mirrored,
            "ejected": {name: sorted(view.condition.out) for name, view in self.snapshot.services.items()},
        }

    def _publish(self, snapshot: Snapshot) -> None:
        self.router.snapshot = snapshot

    def _secure(self, build: Build[GatewaySettings]) -> Secured:
        if build.settings.tls is not None:
            if self._tls is None:
                alpn = "h2,http/1.1" if build.settings.http2.enabled else "http/1.1"
                self._tls = ListenerTLS(build.certificates, build.settings.tls.minimum, alpn)
            else:
                self._tls.replace(build.certificates)
        self.origins.secure(build.secured, build.protocols)
        return build.secured

    async def _close_listeners(self) -> None:
        if self._listener is not None:
            await self._listener.close()
        if self._mirroring is not None:
            self._mirroring.cancel()
            await asyncio.gather(self._mirroring, return_exceptions=True)
        if self._calls is not None:
            await self._calls.close()
