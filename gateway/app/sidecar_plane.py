"""The data plane of a sidecar: an inbound listener in front of the application, an outbound one that it calls through."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from random import Random

from gateway import hop
from gateway.app.build import Build
from gateway.app.doors import Doors
from gateway.app.escapes import warn_of_escape
from gateway.app.parts import alpn_of, make_context, make_origins, make_tracing
from gateway.app.plane import Plane
from gateway.app.takeover import State
from gateway.instance import Instance
from gateway.proxy.origins import Connections
from gateway.proxy.server import Listener
from gateway.proxy.waiting import WaitingCalls
from gateway.registry.tags import OWN_KEY, TagReader
from gateway.routing.admission import Admission
from gateway.routing.copymemory import CopyMemory
from gateway.routing.escapes import EscapeDetector
from gateway.routing.memory import TraceMemory
from gateway.routing.sidecar import InboundRouter, OutboundRouter
from gateway.routing.snapshot import Snapshot
from gateway.settings.registry import DEFAULT_TAG_KEYS
from gateway.settings.sidecar import SidecarSettings
from gateway.tags import BASE
from gateway.telemetry.counters import Traffic
from gateway.tls.contexts import Spoken
from gateway.tls.mesh import Reception, Secured


class SidecarPlane(Plane[SidecarSettings]):
    """Of a sidecar. `app` is the application."""

    def __init__(self, settings: SidecarSettings) -> None:
        self.app = Instance(settings.app.host, settings.app.port)
        self._inbound_traffic = Traffic(self._knows_inbound)
        self._outbound_traffic = Traffic()
        # The app's connections and the peers' are kept apart: the former are never retired.
        self._app_origins = make_origins(settings)
        self._peer_origins = make_origins(settings)
        super().__init__(settings, self._peer_origins, self._outbound_traffic)
        # Inbound writes this memory, outbound reads it: the thread that carries a tag across an unaware service.
        memory = settings.trace_memory
        now = asyncio.get_running_loop().time()
        self._memory = TraceMemory(memory.entries, memory.ttl, now, keeps_unmarked=memory.in_flight)
        self._copies = CopyMemory(memory.entries, memory.ttl, now)
        self._inbound_router = InboundRouter(
            self.snapshot,
            self._carriers,
            self._memory,
            service=settings.service,
            tag=settings.tag,
            app=self.app,
            copies=self._copies,
            identities=identities_of(settings),
            admits_all=settings.clients == "any",
            random_source=Random() if memory.request_id else None,
            tracing=make_tracing(settings),
        )
        self._reception: Reception | None = None
        self._outbound_router = OutboundRouter(
            self.snapshot,
            self._carriers,
            self._memory,
            settings.tag,
            settings.service,
            EscapeDetector(
                self._carriers, self._memory, self._outbound_traffic, partial(warn_of_escape, settings.carriers.header)
            ),
            copies=self._copies,
            infers=memory.in_flight,
            tracing=make_tracing(settings),
        )
        self._inbound: Listener | None = None
        self._outbound: Listener | None = None
        self._doors: Doors | None = None

    def app_spoken(self) -> Spoken:
        """How the application is spoken to."""
        return self._app_origins.spoken(self.app, self._settings.service, is_grpc=False)

    async def listen(
        self,
        inbound: socket.socket,
        outbound: socket.socket,
        learn: Callable[[str], Awaitable[bool]],
        doors: Sequence[socket.socket] = (),
    ) -> None:
        """Begins to serve. `learn` looks up a service that is called for the first time; `doors` are those of `outbounds`.

        Raises StartError if the access log cannot be opened.
        """
        settings = self._settings
        self._open_log()
        inward = make_context(
            settings,
            "inbound",
            router=self._inbound_router,
            origins=self._app_origins,
            traffic=self._inbound_traffic,
            log_file=self._log_file,
            recorder=self._recorder("inbound", self._inbound_traffic),
            spans=self._span_recorder("inbound", self._inbound_traffic),
            reception=None if settings.mesh is None else self._reception,
        )
        self._inbound = Listener(inbound, self._adjusted(inward))
        context = make_context(
            settings,
            "outbound",
            router=self._outbound_router,
            origins=self._peer_origins,
            traffic=self._outbound_traffic,
            learn=learn,
            log_file=self._log_file,
            ejector=self._publisher.ejector,
            recorder=self._recorder("outbound", self._outbound_traffic),
            spans=self._span_recorder("outbound", self._outbound_traffic),
        )
        self._doors = Doors(settings, context)
        self._outbound = Listener(outbound, self._adjusted(context), others=doors)
        waiting = WaitingCalls(self._outbound.clients, self._outbound_router.owner_of)
        self._memory.failed_calls.find_waiting = waiting.find
        await self._inbound.start()
        await self._outbound.start()

    def instances(self, service: str) -> tuple[Instance, ...] | None:
        """The instances of a service; None if nothing is known of it."""
        view = self.snapshot.services.get(service)
        return None if view is None else tuple(view.instances)

    async def open_door(self, service: str) -> tuple[str, int]:
        """See `Doors.open`."""
        assert self._outbound is not None
        assert self._doors is not None
        return await self._doors.open(service, self._outbound)

    async def drain_inbound(self, delay: float, timeout: float) -> bool:
        """See `Listener.drain`."""
        return self._inbound is None or await self._inbound.drain(delay, timeout)

    async def drain_outbound(self, timeout: float) -> bool:
        """See `Listener.drain`. After inbound: what is in flight there still calls out."""
        return self._outbound is None or await self._outbound.drain(0.0, timeout)

    async def stop_accepting(self) -> None:
        """Leaves new connections to a successor, which has the sockets too."""
        for listener in (self._inbound, self._outbound):
            if listener is not None:
                await listener.stop_accepting()

    def state(self) -> State:
        """What requests were marked with, for `know`."""
        return {
            "memory": [(key.decode("latin-1"), tag) for key, tag in self._memory.known().items()],
            "copies": [key.decode("latin-1") for key in self._copies.known()],
        }

    def know(self, state: State) -> None:
        """Takes what requests were marked with in another process: calls of theirs may come here."""
        if state:
            marked = {key.encode("latin-1"): tag for key, tag in state["memory"]}
            now = asyncio.get_running_loop().time()
            self._memory.know(marked, now)
            self._copies.know([key.encode("latin-1") for key in state.get("copies", ())], now)

    def traffic(self) -> dict[str, Traffic]:
        """What was counted, by listener."""
        if self._log_file is not None:
            # Both listeners write one file, so that what it lost is counted once.
            self._inbound_traffic.log_dropped = self._log_file.dropped
        self._outbound_traffic.ambiguous = self._outbound_router.ambiguous
        self._outbound_traffic.inferred = self._outbound_router.inferred
        return {"inbound": self._inbound_traffic, "outbound": self._outbound_traffic}

    def connections(self) -> Connections:
        """The connections to the application and to peers."""
        return {**self._app_origins.statistics(), **self._peer_origins.statistics()}

    def requests(self) -> dict[str, int]:
        """The requests under way at the application and at peers, by address."""
        return {**self._app_origins.requests(), **self._peer_origins.requests()}

    def _knows_inbound(self, service: str, tag: str) -> bool:
        """Whether a tag that peers send is known to somebody else too; empty: whether the service is."""
        settings = self._settings
        return service == settings.service and (tag in ("", BASE, settings.tag) or self._publisher.knows_tag(tag))

    def _publish(self, snapshot: Snapshot) -> None:
        self._inbound_router.snapshot = snapshot
        self._outbound_router.snapshot = snapshot

    def _secure(self, build: Build[SidecarSettings]) -> None:
        service, terms = build.settings.service, build.secured
        self._app_origins.secure(Secured(terms.services), build.protocols)
        # Other instances of this service are reached through their sidecars.
        protocols = {name: item for name, item in build.protocols.items() if name != service}
        self._peer_origins.secure(terms.without(service), protocols)
        mesh = build.settings.mesh
        if build.mesh is not None and mesh is not None:
            tells = mesh.forward_client_cert
            counts = self._inbound_traffic.mesh_requests
            self._inbound_router.admission = Admission(counts, mesh.inbound == "required", tells)
            if self._reception is None:
                self._reception = Reception(build.mesh, tells, alpn_of(self._settings))
            else:
                self._reception.replace(build.mesh, tells)

    async def _close_listeners(self) -> None:
        for listener in (self._inbound, self._outbound):
            if listener is not None:
                await listener.close()


def identities_of(settings: SidecarSettings) -> list[str]:
    """What peers may call an instance, as in `hop`: tags can also be read from metadata, and by other keys than ours.

    One whose metadata marks it is not a baseline instance, even if `tag` was left out.
    """
    metadata = settings.metadata if settings.tag == BASE else {**settings.metadata, OWN_KEY: settings.tag}
    remote = settings.remote_registries.values()
    chains = [DEFAULT_TAG_KEYS, *(tuple(item.tag_keys) for item in remote)]
    tags = {TagReader(chain).tag_of(metadata) for chain in chains}
    if settings.tag != BASE or not remote:
        tags.add(settings.tag)  # as a list by hand has it
    return [hop.target(tag, service) for tag in sorted(tags) for service in ("", settings.service)]
