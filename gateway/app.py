"""The composition root: the entry gateway and the sidecar, each put together out of the same parts.

Read a `start` top to bottom to see the architecture; every part has a line that says why it sits there.
"""

from __future__ import annotations

import asyncio
import logging
import random
import signal
import socket
import time
from collections.abc import Callable, Sequence
from ipaddress import ip_address
from pathlib import Path
from typing import Protocol

from gateway import __version__
from gateway.admin.metrics import Collector, Observed
from gateway.admin.server import AdminServer
from gateway.admin.views import Sources
from gateway.control.load import LoadedGateway, LoadedSidecar, load_gateway, load_rules, load_sidecar
from gateway.control.publish import Publisher
from gateway.control.reload import Reloader, ReloadState
from gateway.control.watch import Watcher
from gateway.errors import GatewayError
from gateway.http.request import Request
from gateway.proxy.context import Context, Router, Timeouts
from gateway.proxy.origin import Origins
from gateway.proxy.server import Listener, bind
from gateway.registry.announcer import Announcer
from gateway.registry.base import Registration, RegistryAdapter
from gateway.registry.embedded.adapter import EmbeddedAdapter
from gateway.registry.embedded.server import EmbeddedRegistry
from gateway.registry.keeper import Keeper, ServiceState
from gateway.registry.nacos import NacosAdapter
from gateway.registry.static import StaticAdapter
from gateway.routing.carriers import Carriers
from gateway.routing.entry import EntryRouter
from gateway.routing.explain import describe_pools, explain
from gateway.routing.instance import Instance
from gateway.routing.memory import TraceMemory
from gateway.routing.routes import Route, RouteTable
from gateway.routing.services import ServiceView, Turns
from gateway.routing.sidecar import InboundRouter, OutboundRouter
from gateway.routing.snapshot import Snapshot
from gateway.rules.compile import compile_rules
from gateway.rules.model import LaneGroup
from gateway.settings import (
    EmbeddedRegistrySettings,
    GatewaySettings,
    NacosRegistrySettings,
    ServingSettings,
    SidecarSettings,
    StaticRegistrySettings,
)
from gateway.telemetry.counters import Traffic

_log = logging.getLogger("gateway")

LEARN_TIMEOUT = 3.0
"""Seconds that the first request to a service waits for the registry to answer."""


class Program(Protocol):
    """A role that can be run."""

    async def start(self) -> None:
        """Begins to serve. Raises GatewayError where it cannot."""

    async def stop(self) -> None:
        """Winds down and closes."""

    def reload(self) -> None:
        """Reads the configuration again."""


async def run(program: Program) -> None:
    """Runs a program until SIGTERM or SIGINT, then winds it down; a second signal ends it at once. SIGHUP reloads."""
    loop = asyncio.get_running_loop()
    stopping = asyncio.Event()
    forced = asyncio.Event()

    def stop() -> None:
        (forced if stopping.is_set() else stopping).set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)
    loop.add_signal_handler(signal.SIGHUP, program.reload)
    await program.start()
    await stopping.wait()
    _log.info("draining; a second signal ends at once")
    winding_down = loop.create_task(program.stop())
    at_once = loop.create_task(forced.wait())
    await asyncio.wait((winding_down, at_once), return_when=asyncio.FIRST_COMPLETED)
    at_once.cancel()
    if winding_down.done():
        await winding_down
    else:
        winding_down.cancel()
        await asyncio.gather(winding_down, return_exceptions=True)


class EntryGateway:
    """`gateway serve`."""

    def __init__(self, path: Path, overrides: Sequence[str] = ()) -> None:
        self._reloader: Reloader[LoadedGateway] = Reloader(lambda: load_gateway(path, overrides), self._apply)
        self._started_at = time.time()
        self._is_draining = False

    async def start(self) -> None:
        """Raises ConfigError or StartError where it cannot."""
        # The configuration first: everything else is built from it.
        settings = self._reloader.start().settings
        self._settings = settings
        # The embedded registry before anything that asks a registry.
        self._embedded: EmbeddedRegistry | None = None
        self._adapter = await self._make_adapter()
        # Counters and connections live as long as the process; snapshots come and go above them.
        traffic = Traffic()
        origins = Origins(settings.limits.upstream_connections)
        # The router decides; the publisher is the only one to give it a new snapshot.
        carriers = Carriers(settings.carriers.header, settings.carriers.baggage)
        self._publisher = Publisher(self._publish, origins, traffic)
        self._router = EntryRouter(
            self._publisher.snapshot,
            carriers,
            random.Random(),
            tuple(settings.trusted),
            settings.trace_sampled,
        )
        # One keeper asks the registry, whatever kind it is, and tells the publisher what changed.
        self._keeper = Keeper(self._adapter, self._publisher.service_changed)
        self._install()
        # The socket before the rest: a port in use should fail before anything is announced.
        sock = bind(settings.listen.host, settings.listen.port)
        context = make_context(settings, self._router, origins, traffic)
        self._listener = Listener(sock, context)
        # Metrics and admin read what the other parts hold.
        collector = Collector(
            Observed({"entry": traffic}, [origins], self._keeper, lambda: self._publisher.snapshot, self._state)
        )
        sources = Sources(
            not_ready=self._not_ready,
            status=self._status,
            services=lambda: describe_services(self._keeper, self._publisher.snapshot),
            lanes=lambda: describe_lanes(self._reloader),
            metrics=collector.exposition,
            tag_header=carriers.header,
            explain=lambda request: explain(self._router, self._groups(), request),
        )
        self._admin = AdminServer(settings.admin.host, settings.admin.port, sources)
        await self._admin.start()
        # Files are watched last: a reload needs all of the above.
        self._watcher = Watcher(lambda: self._reload("files changed"))
        self._watcher.watch(self._files())
        await self._listener.start()
        host = settings.listen.host
        _log.info(
            "entry gateway on %s:%d, admin API on %s:%d",
            host,
            self._listener.port,
            self._admin_host(),
            self._admin.port,
        )

    async def stop(self) -> None:
        """Drains and closes."""
        self._is_draining = True
        await self._watcher.close()
        drain = self._settings.drain
        if not await self._listener.drain(drain.delay, drain.timeout):
            _log.warning("requests still in flight after %g s were cut off", drain.timeout)
        await self._listener.close()
        await self._keeper.close()
        await self._adapter.close()
        if self._embedded is not None:
            await self._embedded.stop()
        await self._admin.close()

    def reload(self) -> None:
        """What SIGHUP asks for."""
        self._reload("SIGHUP")

    def _admin_host(self) -> str:
        return self._settings.admin.host

    def _reload(self, cause: str) -> None:
        self._reloader.reload(cause)
        # A failed reload may be mended in a file that only now became part of the configuration.
        self._watcher.watch(self._files())

    def _files(self) -> Sequence[Path]:
        loaded = self._reloader.loaded
        return () if loaded is None else loaded.files

    def _apply(self, loaded: LoadedGateway, revision: int) -> None:
        if revision > 1:
            warn_of_restart(self._settings, loaded.settings)
            self._settings = loaded.settings
            self._reloader.loaded = loaded
            self._install(revision)

    def _install(self, revision: int = 1) -> None:
        loaded = self._reloader.loaded
        assert loaded is not None
        settings = loaded.settings
        routes = [Route(route.path, route.service, route.strip_prefix, route.host or "") for route in settings.routes]
        self._publisher.configure(revision, loaded.rules, RouteTable(routes))
        if isinstance(self._adapter, StaticAdapter) and isinstance(settings.registry, StaticRegistrySettings):
            self._adapter.replace(settings.registry.instances())
        wanted = {route.service for route in routes}
        for service in wanted:
            self._keeper.watch(service)
        for state in self._keeper.states():
            if state.service not in wanted:
                self._keeper.unwatch(state.service)
                self._publisher.service_removed(state.service)

    def _publish(self, snapshot: Snapshot) -> None:
        self._router.snapshot = snapshot

    async def _make_adapter(self) -> RegistryAdapter:
        registry = self._settings.registry
        if isinstance(registry, StaticRegistrySettings):
            return StaticAdapter(registry.instances())
        if isinstance(registry, EmbeddedRegistrySettings):
            self._embedded = EmbeddedRegistry(
                registry.listen.host, registry.listen.port, warmup=registry.warmup, data=registry.data
            )
            await self._embedded.start()
            return EmbeddedAdapter(self._embedded)
        return make_nacos(registry)

    def _groups(self) -> Sequence[LaneGroup]:
        loaded = self._reloader.loaded
        return () if loaded is None else loaded.groups

    def _state(self) -> ReloadState:
        return self._reloader.state

    def _not_ready(self) -> list[str]:
        if self._is_draining:
            return ["draining"]
        return [
            f"service {state.service}: the registry has not answered yet ({state.reason or 'waiting'})"
            for state in self._keeper.states()
            if state.state == "unknown"
        ]

    def _status(self) -> dict[str, object]:
        state = self._state()
        return {
            "role": "entry",
            "version": __version__,
            "started_at": self._started_at,
            "revision": state.revision,
            "loaded_at": state.loaded_at,
            "last_reload_error": list(state.error) or None,
            "reloads": {"success": state.succeeded, "failure": state.failed},
            "registry": self._settings.registry.kind,
            "draining": self._is_draining,
        }


class Sidecar:
    """`gateway sidecar`."""

    def __init__(self, path: Path, overrides: Sequence[str] = ()) -> None:
        self._reloader: Reloader[LoadedSidecar] = Reloader(lambda: load_sidecar(path, overrides), self._apply)
        self._started_at = time.time()
        self._is_draining = False

    async def start(self) -> None:
        """Raises ConfigError or StartError where it cannot."""
        settings = self._reloader.start().settings
        self._settings = settings
        # Both sockets first: nothing is registered before peers can reach it.
        inbound_socket = bind(settings.inbound.host, settings.inbound.port)
        outbound_socket = bind(settings.outbound.host, settings.outbound.port)
        registry = settings.registry
        self._adapter: NacosAdapter | StaticAdapter
        if isinstance(registry, NacosRegistrySettings):
            self._adapter = make_nacos(registry)
        else:
            self._adapter = StaticAdapter(registry.instances())
        self._inbound_traffic = Traffic()
        self._outbound_traffic = Traffic()
        app = Instance(settings.app.host, settings.app.port)
        # The app's connections and the peers' are kept apart: the former are never retired.
        app_origins = Origins(settings.limits.upstream_connections)
        peer_origins = Origins(settings.limits.upstream_connections)
        # Inbound writes this memory, outbound reads it: the thread that carries a tag across an unaware service.
        memory = TraceMemory(
            settings.trace_memory.entries, settings.trace_memory.ttl, asyncio.get_running_loop().time()
        )
        carriers = Carriers(settings.carriers.header, settings.carriers.baggage)
        self._publisher = Publisher(self._publish, peer_origins, self._outbound_traffic)
        snapshot = self._publisher.snapshot
        self._inbound_router = InboundRouter(snapshot, carriers, memory, settings.service, settings.tag, app)
        self._outbound_router = OutboundRouter(snapshot, carriers, memory, settings.tag)
        self._keeper = Keeper(self._adapter, self._publisher.service_changed)
        self._install()
        self._inbound = Listener(
            inbound_socket, make_context(settings, self._inbound_router, app_origins, self._inbound_traffic)
        )
        self._outbound = Listener(
            outbound_socket,
            make_context(settings, self._outbound_router, peer_origins, self._outbound_traffic, self._learn),
        )
        await self._inbound.start()
        await self._outbound.start()
        # Registered last, when both listeners serve.
        self._announcer: Announcer | None = None
        if isinstance(self._adapter, NacosAdapter):
            self._announcer = Announcer(self._adapter, self._registration())
            self._announcer.start()
        collector = Collector(
            Observed(
                {"inbound": self._inbound_traffic, "outbound": self._outbound_traffic},
                [app_origins, peer_origins],
                self._keeper,
                lambda: self._publisher.snapshot,
                lambda: self._reloader.state,
            )
        )
        sources = Sources(
            not_ready=self._not_ready,
            status=self._status,
            services=lambda: describe_services(self._keeper, self._publisher.snapshot),
            lanes=lambda: describe_lanes(self._reloader),
            metrics=collector.exposition,
        )
        self._admin = AdminServer(settings.admin.host, settings.admin.port, sources)
        await self._admin.start()
        self._watcher = Watcher(lambda: self._reload("files changed"))
        self._watcher.watch(self._files())
        _log.info(
            "sidecar of %s (tag %s): inbound %s:%d, outbound %s:%d, app %s",
            settings.service,
            settings.tag,
            settings.inbound.host,
            self._inbound.port,
            settings.outbound.host,
            self._outbound.port,
            settings.app,
        )

    async def stop(self) -> None:
        """Deregisters, keeps serving until peers have noticed, drains, closes."""
        self._is_draining = True
        await self._watcher.close()
        if self._announcer is not None:
            await self._announcer.stop()
        drain = self._settings.drain
        if not await self._inbound.drain(drain.delay, drain.timeout):
            _log.warning("requests still in flight after %g s were cut off", drain.timeout)
        # Outbound after inbound: what is in flight inbound still calls out.
        await self._outbound.drain(0.0, 1.0)
        await self._inbound.close()
        await self._outbound.close()
        await self._keeper.close()
        await self._adapter.close()
        await self._admin.close()

    def reload(self) -> None:
        """What SIGHUP asks for."""
        self._reload("SIGHUP")

    def _reload(self, cause: str) -> None:
        self._reloader.reload(cause)
        self._watcher.watch(self._files())

    def _files(self) -> Sequence[Path]:
        loaded = self._reloader.loaded
        return () if loaded is None else loaded.files

    def _apply(self, loaded: LoadedSidecar, revision: int) -> None:
        if revision > 1:
            warn_of_restart(self._settings, loaded.settings)
            self._reloader.loaded = loaded
            self._install(revision)

    def _install(self, revision: int = 1) -> None:
        loaded = self._reloader.loaded
        assert loaded is not None
        self._publisher.configure(revision, loaded.rules, RouteTable(()))
        if isinstance(self._adapter, StaticAdapter) and isinstance(loaded.settings.registry, StaticRegistrySettings):
            self._adapter.replace(loaded.settings.registry.instances())

    def _publish(self, snapshot: Snapshot) -> None:
        self._inbound_router.snapshot = snapshot
        self._outbound_router.snapshot = snapshot

    async def _learn(self, service: str) -> bool:
        """Watches a service that the app called for the first time; returns whether it is known now."""
        self._keeper.watch(service)
        return await self._keeper.wait_known(service, LEARN_TIMEOUT)

    def _registration(self) -> Registration:
        settings = self._settings
        host = settings.advertise or find_address(settings.inbound.host)
        return Registration(
            settings.service, host, self._inbound.port, settings.tag, settings.weight, dict(settings.metadata)
        )

    def _not_ready(self) -> list[str]:
        if self._is_draining:
            return ["draining"]
        if self._announcer is not None and not self._announcer.registered:
            return [f"service {self._settings.service} is not registered yet"]
        return []

    def _status(self) -> dict[str, object]:
        state = self._reloader.state
        settings = self._settings
        return {
            "role": "sidecar",
            "version": __version__,
            "started_at": self._started_at,
            "revision": state.revision,
            "loaded_at": state.loaded_at,
            "last_reload_error": list(state.error) or None,
            "reloads": {"success": state.succeeded, "failure": state.failed},
            "service": settings.service,
            "tag": settings.tag,
            "registered": self._announcer is not None and self._announcer.registered,
            "registry": settings.registry.kind,
            "draining": self._is_draining,
        }


class RegistryProgram:
    """`gateway registry`."""

    def __init__(self, registry: EmbeddedRegistry) -> None:
        self._registry = registry

    async def start(self) -> None:
        """Raises StartError where it cannot."""
        await self._registry.start()
        _log.info("registry on %s", self._registry.address)

    async def stop(self) -> None:
        """Closes."""
        await self._registry.stop()

    def reload(self) -> None:
        """There is nothing to reload."""


def explain_files(
    config: Path, rules: Path | None, method: str, url: str, headers: Sequence[tuple[str, str]], client_ip: str
) -> dict[str, object]:
    """What a gateway started from `config` (with `rules` instead of its own, where given) would decide for a request.

    Only a static registry's instances are in the files; another's are taken as unknown. Raises ConfigError, and
    ProtocolError where the gateway would refuse the request.
    """
    loaded = load_gateway(config)
    settings = loaded.settings
    groups = loaded.groups if rules is None else load_rules([rules]).groups
    routes = RouteTable(
        [Route(route.path, route.service, route.strip_prefix, route.host or "") for route in settings.routes]
    )
    services: dict[str, ServiceView] = {}
    if isinstance(settings.registry, StaticRegistrySettings):
        known = settings.registry.instances()
        services = {name: ServiceView(name, instances, Turns()) for name, instances in known.items()}
    snapshot = Snapshot(1, compile_rules(groups), routes, services)
    carriers = Carriers(settings.carriers.header, settings.carriers.baggage)
    router = EntryRouter(snapshot, carriers, random.Random(), tuple(settings.trusted))
    return explain(router, groups, Request.build(method, url, headers, client_ip, carriers.header))


def make_context(
    settings: ServingSettings,
    router: Router,
    origins: Origins,
    traffic: Traffic,
    learn: Callable[[str], object] | None = None,
) -> Context:
    """A listener's context from what serve and sidecar have in common."""
    timeouts = settings.timeouts
    return Context(
        router,
        origins,
        traffic,
        settings.carriers.header,
        Timeouts(
            timeouts.head,
            timeouts.body_idle,
            timeouts.connect,
            timeouts.answer,
            timeouts.keep_alive,
            timeouts.upstream_idle,
        ),
        settings.limits.head_bytes,
        settings.limits.header_count,
        learn,  # type: ignore[arg-type]
    )


def make_nacos(registry: NacosRegistrySettings) -> NacosAdapter:
    """The client of a Nacos server, or of the embedded registry in another process."""
    return NacosAdapter(str(registry.address), registry.namespace, registry.group, registry.interval)


def warn_of_restart(old: GatewaySettings | SidecarSettings, new: GatewaySettings | SidecarSettings) -> None:
    """Says which changed settings only a restart applies: sockets and what is built once."""
    hot = {"routes", "rules", "registry"}
    changed = [
        name for name in type(old).model_fields if name not in hot and getattr(old, name) != getattr(new, name, None)
    ]
    if not isinstance(new.registry, StaticRegistrySettings) and old.registry != new.registry:
        changed.append("registry")
    if changed:
        _log.warning("restart to apply: %s", ", ".join(changed))


def describe_services(keeper: Keeper, snapshot: Snapshot) -> list[dict[str, object]]:
    """Every watched service, its state and pools, as plain values."""
    return [_describe_service(state, snapshot) for state in sorted(keeper.states(), key=lambda state: state.service)]


def _describe_service(state: ServiceState, snapshot: Snapshot) -> dict[str, object]:
    view = snapshot.services.get(state.service)
    return {
        "service": state.service,
        "state": state.state,
        "age": round(state.age, 3),
        "reason": state.reason or None,
        "pools": [] if view is None else describe_pools(view),
    }


def describe_lanes(reloader: Reloader[LoadedGateway] | Reloader[LoadedSidecar]) -> list[dict[str, object]]:
    """Every lane in the order it is tried, as plain values."""
    loaded = reloader.loaded
    if loaded is None:
        return []
    return [
        {
            "group": group.name,
            "lane": lane.name,
            "tag": lane.tag,
            "enabled": group.enabled and lane.enabled,
            "services": list(group.services),
        }
        for group in loaded.groups
        for lane in group.lanes
    ]


def find_address(listen_host: str) -> str:
    """The address to register for a listener: its own, or the one this host uses to reach others.

    Raises GatewayError where none can be found.
    """
    try:
        if not ip_address(listen_host).is_unspecified:
            return listen_host
    except ValueError:
        return listen_host  # a name; peers resolve it as we did
    probe = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        # Connecting a datagram socket sends nothing; it only asks the routing table.
        probe.connect(("192.0.2.1", 9))
        host: str = probe.getsockname()[0]
    except OSError as error:
        raise GatewayError(f"cannot find this host's address, set `advertise`: {error}") from error
    finally:
        probe.close()
    return host
