"""`gateway sidecar`: the sidecar put together."""

from __future__ import annotations

import asyncio
import logging
import socket
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from gateway import __version__, hop
from gateway.admin.collector import Collector
from gateway.admin.observed import Observed
from gateway.admin.server import AdminServer
from gateway.admin.views import Sources
from gateway.app.addresses import find_address
from gateway.app.copies import RuleCopies
from gateway.app.exposure import warn_of_exposure
from gateway.app.facade import Doors, Facade
from gateway.app.parts import (
    describe_lanes,
    describe_registries,
    describe_services,
    make_context,
    make_log_file,
    warn_of_restart,
)
from gateway.app.registries import make_registries, registrars, take_settings
from gateway.app.sockets import Sockets
from gateway.app.takeover import State
from gateway.config.certificates import upstream_tls
from gateway.config.load import LoadedSidecar, RulesFrom, load_settings, load_sidecar
from gateway.config.surroundings import make_surroundings
from gateway.control.publish import Publisher
from gateway.control.reload import Reloader
from gateway.control.watch import Watcher
from gateway.daemons import failures, keep_running
from gateway.health.application import ApplicationWatch
from gateway.instance import Instance
from gateway.proxy.origin import Origins
from gateway.proxy.server import Listener
from gateway.registry.base import Registration
from gateway.registry.registrar import Registrar
from gateway.registry.registration import REGISTERED, KnownRegistration
from gateway.registry.tags import OWN_KEY, TagReader
from gateway.routing.carriers import Carriers
from gateway.routing.memory import TraceMemory
from gateway.routing.routes import RouteTable
from gateway.routing.sidecar import InboundRouter, OutboundRouter
from gateway.routing.snapshot import Snapshot
from gateway.rules.compile import compile_rules
from gateway.rules.match import CompiledRules
from gateway.rules.ruleset import RuleSet
from gateway.rulesources.files import FILES_CHANGED
from gateway.settings import Address, RemoteRegistrySettings, SidecarSettings
from gateway.settings.registry import DEFAULT_TAG_KEYS
from gateway.tags import BASE
from gateway.telemetry.counters import Traffic

_log = logging.getLogger("gateway")

LEARN_TIMEOUT = 3.0
"""Seconds that the first request to a service waits for the registry to answer."""
MOST_EMPTY = 64
"""Services without instances that are watched."""


@dataclass(frozen=True, slots=True)
class ReadySidecar:
    """A configuration, and its rules compiled: off the loop."""

    loaded: LoadedSidecar
    compiled: CompiledRules

    @staticmethod
    def of(loaded: LoadedSidecar) -> ReadySidecar:
        """Compiles."""
        return ReadySidecar(loaded, compile_rules(loaded.rules, make_surroundings(loaded.settings)))

    @property
    def files(self) -> Sequence[Path]:
        """Everything that was read."""
        return self.loaded.files


class Sidecar:
    """`gateway sidecar`."""

    def __init__(self, path: Path, overrides: Sequence[str] = ()) -> None:
        self._reloader: Reloader[ReadySidecar] = Reloader(
            lambda: self._build(self._copies.from_now()), self._apply, self._record
        )
        self._copies = RuleCopies(self._reload)
        self._path = path
        self._overrides = overrides
        self._is_serving = False
        self._missed = ""
        self._started_at = time.time()
        self._is_draining = False
        self._has_successor = False
        self._registrars: dict[str, Registrar] = {}
        self._facade: Facade | None = None

    async def start(self, sockets: Sockets) -> None:
        """Raises ConfigError or StartError where it cannot."""
        await self._copies.open(load_settings(SidecarSettings, self._path, self._overrides))
        ready = await self._reloader.start(self._copies.kept_revision, lambda _: self._copies.build_old(self._build))
        settings = self._settings = ready.loaded.settings
        warn_of_exposure(settings, self._path)
        # Both sockets first: nothing is registered before peers can reach it.
        await sockets.open("sidecar", ("inbound", "outbound", "admin", "facade", "facade-grpc"))
        inbound_socket = sockets.one_of("inbound", settings.inbound.host, settings.inbound.port)
        outbound_socket = sockets.one_of("outbound", settings.outbound.host, settings.outbound.port)
        admin_socket = sockets.one_of("admin", settings.admin.host, settings.admin.port)
        door_sockets = [
            sockets.one_of(f"outbound {name}", door.host, door.port) for name, door in settings.outbounds.items()
        ]
        facade_sockets = self._facade_sockets(sockets)
        self._inbound_traffic = Traffic(self._knows_inbound)
        self._outbound_traffic = Traffic()
        app = Instance(settings.app.host, settings.app.port)
        # The app's connections and the peers' are kept apart: the former are never retired.
        app_origins = self._app_origins = Origins(settings.limits.upstream_connections)
        peer_origins = self._peer_origins = Origins(settings.limits.upstream_connections)
        # Inbound writes this memory, outbound reads it: the thread that carries a tag across an unaware service.
        memory = self._memory = TraceMemory(
            settings.trace_memory.entries, settings.trace_memory.ttl, asyncio.get_running_loop().time()
        )
        carriers = Carriers(settings.carriers.header, settings.carriers.baggage)
        self._publisher = Publisher(self._publish, peer_origins, self._outbound_traffic, settings.ejection)
        snapshot = self._publisher.snapshot
        self._inbound_router = InboundRouter(
            snapshot,
            carriers,
            memory,
            settings.service,
            settings.tag,
            app,
            identities_of(settings),
            settings.callers == "any",
        )
        self._outbound_router = OutboundRouter(snapshot, carriers, memory, settings.tag, settings.service)
        self._registries = make_registries(
            settings.all_registries, self._service_changed, settings.chosen_registries, settings.state
        )
        self._facade = None if settings.facade is None else Facade(settings, self._instances, self._ask_for, self._told)
        self._install(ready, self._reloader.state.revision)
        self._log_file = make_log_file(settings)
        self._inbound = Listener(
            inbound_socket,
            make_context(
                settings, self._inbound_router, app_origins, self._inbound_traffic, "inbound", None, self._log_file
            ),
        )
        outbound = make_context(
            settings,
            self._outbound_router,
            peer_origins,
            self._outbound_traffic,
            "outbound",
            self._learn,
            self._log_file,
            self._publisher.ejector,
        )
        self._doors = Doors(settings, outbound)
        self._outbound = Listener(outbound_socket, outbound, others=door_sockets)
        # The application is watched before that: whether it takes requests is what is registered.
        tls = upstream_tls(settings).get(settings.service)
        self._app_watch = ApplicationWatch(settings.service, app, settings.app_check, tls, self._app_changed)
        self._app_watch.start()
        await sockets.wait_ready(self._waiting)
        # Of a process whose place this one takes, first what its requests were marked with: calls of theirs may come here.
        state = await sockets.take_over()
        if state:
            memory.know({key.encode("latin-1"): tag for key, tag in state["memory"]}, asyncio.get_running_loop().time())
        await self._inbound.start()
        await self._outbound.start()
        # The application finds others through it, so that it comes after the outbound listener.
        if self._facade is not None and facade_sockets is not None:
            await self._facade.start(*facade_sockets, self._open_door, state.get("application") if state else None)
            self._registries.watch(settings.service)
        # Registered last, when both listeners serve, and the application takes requests.
        found = registrars(self._registries)
        names = {name: name if len(self._registries.keepers) > 1 else "" for name in found}
        self._registrations = {name: KnownRegistration(registrar, names[name]) for name, registrar in found.items()}
        self._registrars = {
            name: Registrar(registrar, self._registration(), self._takes_requests, registry=names[name])
            for name, registrar in self._registrations.items()
        }
        for registrar in self._registrars.values():
            registrar.start()
        collector = Collector(
            Observed(
                self._traffic,
                lambda: {**app_origins.statistics(), **peer_origins.statistics()},
                self._registries,
                lambda: self._publisher.snapshot,
                lambda: self._reloader.state,
                lambda: (1, 0),
                dict,
                dict,
                lambda: self._copies.mirrors,
                lambda: failures,
                lambda: self._app_watch.is_up,
                lambda: self._registrations,
                bypasses=None if self._facade is None else self._facade.count_bypasses,
            )
        )
        sources = Sources(
            not_ready=self._not_ready,
            status=self._status,
            services=lambda: describe_services(self._registries, self._publisher.snapshot),
            lanes=lambda: describe_lanes(
                RuleSet() if self._reloader.loaded is None else self._reloader.loaded.loaded.rules
            ),
            metrics=collector.exposition,
            names=settings.allowed_hosts,
        )
        self._admin = AdminServer(settings.admin.host, settings.admin.port, sources)
        await self._admin.start(admin_socket)
        self._watcher = Watcher(partial(self._reload, FILES_CHANGED))
        self._watcher.watch(self._reloader.files)
        self._is_serving = True
        if self._missed:
            # Not part of the start, which could be told to end: clients are served by now.
            self._reloading = keep_running("a reload", partial(self._reload, self._missed))
        _log.info(
            "sidecar of %s (tag %s): inbound %s, outbound %s, app %s",
            settings.service,
            settings.tag,
            Address(host=settings.inbound.host, port=self._inbound.port),
            Address(host=settings.outbound.host, port=self._outbound.port),
            settings.app,
        )

    def state(self) -> State:
        """What requests were marked with, and what the application has registered."""
        memory = [(key.decode("latin-1"), tag) for key, tag in self._memory.known().items()]
        return {"memory": memory, "application": None if self._facade is None else self._facade.state()}

    async def hand_over(self) -> State:
        """See Program. The instance stays registered: it goes on at the same address."""
        self._has_successor = True
        for registrar in self._registrars.values():
            await registrar.hand_over()
        await self._admin.close()
        if self._facade is not None:
            await self._facade.close()
        # Before it is told what is known: what comes now, comes there.
        await self._inbound.stop_accepting()
        await self._outbound.stop_accepting()
        return self.state()

    async def stop(self) -> None:
        """Withdraws from the registries, keeps serving until peers have noticed, drains, deregisters, closes."""
        self._is_draining = True
        await self._watcher.close()
        await self._copies.close()
        await self._app_watch.close()
        if not self._has_successor:
            await asyncio.gather(*(registrar.withdraw() for registrar in self._registrars.values()))
        drain = self._settings.drain
        if not await self._inbound.drain(0.0 if self._has_successor else drain.delay, drain.timeout):
            _log.warning("requests still in flight after %g s were cut off", drain.timeout)
        if not self._has_successor:
            await asyncio.gather(*(registrar.stop() for registrar in self._registrars.values()))
        # Outbound after inbound: what is in flight inbound still calls out.
        await self._outbound.drain(0.0, 1.0)
        await self._inbound.close()
        await self._outbound.close()
        if self._facade is not None:
            await self._facade.close()
        await self._publisher.close()
        if self._log_file is not None:
            self._log_file.close()
        await self._registries.close()
        await self._admin.close()

    def _knows_inbound(self, service: str, tag: str) -> bool:
        """Whether a tag that peers send is known to somebody else too; empty: whether the service is."""
        settings = self._settings
        return service == settings.service and (tag in ("", BASE, settings.tag) or self._publisher.knows_tag(tag))

    def _traffic(self) -> dict[str, Traffic]:
        if self._log_file is not None:
            # Both listeners write one file, so that what it lost is counted once.
            self._inbound_traffic.log_dropped = self._log_file.dropped
        self._outbound_traffic.ambiguous = self._memory.ambiguous
        return {"inbound": self._inbound_traffic, "outbound": self._outbound_traffic}

    def _app_changed(self, _: bool) -> None:
        for registrar in self._registrars.values():
            registrar.set_usable(self._takes_requests)

    @property
    def _takes_requests(self) -> bool:
        """Whether the application does, and wants them."""
        return self._app_watch.is_up and (self._facade is None or self._facade.is_registered)

    def _told(self) -> None:
        """The application has registered, or has left."""
        for registrar in self._registrars.values():
            registrar.change(self._registration())
            registrar.set_usable(self._takes_requests)

    def _facade_sockets(self, sockets: Sockets) -> tuple[socket.socket, socket.socket] | None:
        if self._settings.facade is None:
            return None
        address = self._settings.facade.nacos
        http = sockets.one_of("facade", address.host, address.port)
        return http, sockets.beside("facade-grpc", http, address.host, "the façade")

    async def _open_door(self, service: str) -> tuple[str, int]:
        return await self._doors.open(service, self._outbound)

    def _service_changed(self, service: str, instances: tuple[Instance, ...]) -> None:
        self._publisher.service_changed(service, instances)
        if self._facade is not None:
            self._facade.service_changed(service, instances)

    def _instances(self, service: str) -> tuple[Instance, ...] | None:
        """The instances of a service; None if nothing is known of it."""
        view = self._publisher.snapshot.services.get(service)
        return None if view is None else tuple(view.instances)

    async def reload(self) -> None:
        """What SIGHUP asks for."""
        await self._reload("SIGHUP")

    def reopen_logs(self) -> None:
        """What SIGUSR1 asks for."""
        if self._is_serving and self._log_file is not None:
            self._log_file.reopen()

    async def _reload(self, cause: str) -> None:
        if not self._is_serving:
            self._missed = cause  # for when everything is there that a reload needs
            return
        await self._copies.mirrors.restore()
        await self._reloader.reload(cause)
        self._watcher.watch(self._reloader.files)

    def _build(self, rules_from: RulesFrom) -> ReadySidecar:
        return ReadySidecar.of(load_sidecar(self._path, self._overrides, rules_from=rules_from))

    async def _record(self, ready: ReadySidecar, revision: int, *_: str) -> None:
        await self._copies.applied(ready.loaded.settings, ready.loaded.lanes, revision)

    def _apply(self, ready: ReadySidecar, revision: int) -> None:
        if self._is_serving:
            warn_of_restart(self._settings, ready.loaded.settings)
            self._install(ready, revision)

    def _install(self, ready: ReadySidecar, revision: int) -> None:
        loaded = ready.loaded
        secured = upstream_tls(loaded.settings)
        self._app_origins.secure(secured)
        # Other instances of this service are reached through their sidecars.
        peers = {name: tls for name, tls in secured.items() if name != loaded.settings.service}
        self._peer_origins.secure(peers)
        self._publisher.configure(revision, ready.compiled, RouteTable(()), loaded.settings.services, peers)
        take_settings(self._registries, loaded.settings.all_registries)
        self._registries.choose(loaded.settings.chosen_registries)

    def _publish(self, snapshot: Snapshot) -> None:
        self._inbound_router.snapshot = snapshot
        self._outbound_router.snapshot = snapshot

    async def _learn(self, service: str) -> bool:
        """Watches a service that the app called for the first time; returns whether it is known now.

        Registries distinguish upper and lower case, hosts do not: if there is nobody with exactly this name, its other
        spellings are asked for as well.
        """
        known = await self._ask_for(service, LEARN_TIMEOUT)
        view = self._publisher.snapshot.services.get(service)
        if known and (view is None or not view.instances):
            await asyncio.gather(*(self._ask_for(name, LEARN_TIMEOUT) for name in self._spellings(service)))
        return known

    async def _ask_for(self, service: str, timeout: float) -> bool:
        self._make_room()
        self._registries.watch(service)
        return await self._registries.wait_known(service, timeout)

    def _spellings(self, service: str) -> set[str]:
        """The names that differ from a service's by case alone: those the configuration has, and the usual ones."""
        ready = self._reloader.loaded
        groups = () if ready is None else ready.loaded.rules.groups
        named = {*self._settings.services, *(name for group in groups for name in group.services)}
        folded = service.lower()
        return {folded, service.upper(), *(name for name in named if name.lower() == folded)} - {service}

    def _make_room(self) -> None:
        """Forgets the service without instances that was called first, where there are many: an app may call any name."""
        states = self._registries.states()
        kept = frozenset[str]() if self._facade is None else self._facade.asked | {self._settings.service}
        empty = [
            name for name, known in states.items() if name not in kept and not any(state.instances for state in known)
        ]
        for service in empty[: max(0, len(empty) - MOST_EMPTY + 1)]:
            self._registries.unwatch(service)
            self._publisher.service_removed(service)

    def _registration(self) -> Registration:
        settings = self._settings
        host = settings.advertise or find_address(settings.inbound.host)
        own = Registration(settings.service, host, self._inbound.port, settings.tag, settings.weight, self._metadata())
        return own if self._facade is None else self._facade.registration(own)

    def _metadata(self) -> dict[str, str]:
        """What is registered beside the tag. Peers say by our own name whom they mean: they may call the service otherwise."""
        return {**self._settings.metadata, hop.SIDECAR_KEY: self._settings.service}

    def _waiting(self) -> list[str]:
        """What is not known yet that requests need."""
        unasked = [] if self._app_watch.was_asked else [self._app_watch.reason]
        return unasked + self._copies.not_ready(self._settings, self._reloader.state)

    def _not_ready(self) -> list[str]:
        if self._is_draining:
            return ["draining"]
        if not self._app_watch.is_up:
            return [self._app_watch.reason]
        service = self._settings.service
        if self._facade is not None and not self._facade.is_registered:
            return ["the application has not registered through the façade (or has deregistered)"]
        # One registry is enough for peers to find it, be it away now: they go on with what it said.
        known = self._registrations
        if known and not any(item.is_found for item in known.values()):
            reasons = "; ".join(dict.fromkeys(item.reason for item in known.values() if item.reason))
            return [f"service {service} is not registered yet{f' ({reasons})' if reasons else ''}"]
        return self._copies.not_ready(self._settings, self._reloader.state)

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
            "runs_old_rules": state.runs_old_rules,
            "service": settings.service,
            "tag": settings.tag,
            "application": {
                "address": str(settings.app),
                "up": self._app_watch.is_up,
                "reason": self._app_watch.reason or None,
            },
            "registered": any(item.state == REGISTERED for item in self._registrations.values()),
            "registered_in": [name for name, item in self._registrations.items() if item.state == REGISTERED],
            "registries": describe_registries(self._registries, self._registrations),
            "rules": self._copies.mirrors.describe(state.error),
            "draining": self._is_draining,
        }


def identities_of(settings: SidecarSettings) -> list[str]:
    """What peers may call an instance, as in `hop`: tags can also be read from metadata, and by other keys than ours.

    One whose metadata marks it is no baseline instance, even if `tag` was left out.
    """
    metadata = settings.metadata if settings.tag == BASE else {**settings.metadata, OWN_KEY: settings.tag}
    remote = [item for item in settings.all_registries.values() if isinstance(item, RemoteRegistrySettings)]
    chains = [DEFAULT_TAG_KEYS, *(tuple(item.tag_keys) for item in remote)]
    tags = {TagReader(chain).tag_of(metadata) for chain in chains}
    if settings.tag != BASE or not remote:
        tags.add(settings.tag)  # as a list by hand has it
    return [hop.target(tag, service) for tag in sorted(tags) for service in ("", settings.service)]
