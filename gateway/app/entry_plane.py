"""The data plane of an entry gateway."""

from __future__ import annotations

import asyncio
import random
import socket
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from gateway.app.build import Build, questions_of
from gateway.app.parts import (
    alpn_of,
    make_context,
    make_origins,
    make_tracing,
)
from gateway.app.routes import make_routes
from gateway.daemons import failures, keep_running
from gateway.http.masking import Mask
from gateway.http.response import ResponseReader
from gateway.proxy.copies import Copies
from gateway.proxy.server import Listener
from gateway.routing.debug import DebugAccess
from gateway.routing.entry import EntryRouter
from gateway.routing.plans import NO_ROUTES, RouteSet
from gateway.routing.routes import RouteTable
from gateway.routing.snapshot import Snapshot
from gateway.settings.gateway import GatewaySettings
from gateway.telemetry.counters import Traffic
from gateway.tls.certificates import ListenerTLS

if TYPE_CHECKING:
    from gateway.live.mirrors import Mirrors
    from gateway.permission.calls import Calls

from gateway.app.plane import Plane


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

    def _secure(self, build: Build[GatewaySettings]) -> None:
        if build.settings.tls is not None:
            if self._tls is None:
                alpn = alpn_of(self._settings)
                self._tls = ListenerTLS(build.certificates, build.settings.tls.minimum, alpn)
            else:
                self._tls.replace(build.certificates)
        self.origins.secure(build.secured, build.protocols)

    async def _close_listeners(self) -> None:
        if self._listener is not None:
            await self._listener.close()
        if self._mirroring is not None:
            self._mirroring.cancel()
            await asyncio.gather(self._mirroring, return_exceptions=True)
        if self._calls is not None:
            await self._calls.close()
