"""`gateway serve`: the entry gateway put together."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Sequence
from pathlib import Path

from gateway import __version__
from gateway.admin.metrics import Collector, Observed
from gateway.admin.server import AdminServer
from gateway.admin.views import Sources
from gateway.app.parts import describe_lanes, describe_services, make_context, make_nacos, warn_of_restart
from gateway.control.load import LoadedGateway, load_gateway, load_rules
from gateway.control.publish import Publisher
from gateway.control.reload import Reloader, ReloadState
from gateway.control.watch import Watcher
from gateway.http.request import Request
from gateway.proxy.origin import Origins
from gateway.proxy.server import Listener, bind
from gateway.registry.base import RegistryAdapter
from gateway.registry.embedded.adapter import EmbeddedAdapter
from gateway.registry.embedded.server import EmbeddedRegistry
from gateway.registry.keeper import Keeper
from gateway.registry.static import StaticAdapter
from gateway.routing.carriers import Carriers
from gateway.routing.entry import EntryRouter
from gateway.routing.explain import explain
from gateway.routing.routes import Route, RouteTable
from gateway.routing.services import ServiceView, Turns
from gateway.routing.snapshot import Snapshot
from gateway.rules.compile import compile_rules
from gateway.rules.model import LaneGroup
from gateway.settings import (
    EmbeddedRegistrySettings,
    GatewaySettings,
    StaticRegistrySettings,
)
from gateway.telemetry.counters import Traffic

_log = logging.getLogger("gateway")


class EntryGateway:
    """`gateway serve`."""

    def __init__(self, path: Path, overrides: Sequence[str] = ()) -> None:
        self._reloader: Reloader[LoadedGateway] = Reloader(lambda: load_gateway(path, overrides), self._apply)
        self._started_at = time.time()
        self._is_draining = False

    async def start(self) -> None:
        """Raises ConfigError or StartError where it cannot."""
        # The configuration first: everything else is built from it.
        loaded = self._reloader.start()
        settings = self._settings = loaded.settings
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
        self._install(loaded, 1)
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
            settings.admin.host,
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
            self._install(loaded, revision)

    def _install(self, loaded: LoadedGateway, revision: int) -> None:
        settings = loaded.settings
        routes = make_routes(settings)
        self._publisher.configure(revision, loaded.rules, routes)
        if isinstance(self._adapter, StaticAdapter) and isinstance(settings.registry, StaticRegistrySettings):
            self._adapter.replace(settings.registry.instances())
        wanted = {route.service for route in routes.routes}
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


def make_routes(settings: GatewaySettings) -> RouteTable:
    """The route table that the settings describe."""
    return RouteTable(
        [Route(route.path, route.service, route.strip_prefix, route.host or "") for route in settings.routes]
    )


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
    services: dict[str, ServiceView] = {}
    if isinstance(settings.registry, StaticRegistrySettings):
        known = settings.registry.instances()
        services = {name: ServiceView(name, instances, Turns()) for name, instances in known.items()}
    snapshot = Snapshot(1, compile_rules(groups), make_routes(settings), services)
    carriers = Carriers(settings.carriers.header, settings.carriers.baggage)
    router = EntryRouter(snapshot, carriers, random.Random(), tuple(settings.trusted))
    return explain(router, groups, Request.build(method, url, headers, client_ip, carriers.header))
