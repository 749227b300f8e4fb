"""`gateway serve`: the entry gateway put together."""

from __future__ import annotations

import asyncio
import logging
import os
import random
import socket
import time
from collections import Counter
from collections.abc import Coroutine, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from gateway import __version__
from gateway.admin.collector import Collector
from gateway.admin.observed import Observed
from gateway.admin.server import AdminServer
from gateway.admin.views import Sources
from gateway.app.addresses import own_addresses
from gateway.app.exposure import warn_of_exposure
from gateway.app.parts import (
    describe_lanes,
    describe_registries,
    describe_services,
    make_reader,
    make_routes,
    unanswered,
    warn_of_restart,
)
from gateway.app.plane import EntryBuild, EntryPlane
from gateway.app.registries import make_registries, take_settings
from gateway.app.rulebook import ReadyGateway, RuleBook
from gateway.app.sockets import Sockets, dealt
from gateway.app.takeover import State
from gateway.config.load import load_gateway
from gateway.config.surroundings import make_surroundings
from gateway.control.channel import Message
from gateway.control.expiry import expiries, expiry_notes, next_look
from gateway.control.reload import Reloader, ReloadState
from gateway.control.watch import Watcher
from gateway.control.workers import Workers
from gateway.daemons import failures, keep_running
from gateway.errors import ConfigError
from gateway.http.head_reader import HeadReader, build_request
from gateway.instance import Instance
from gateway.proxy.origin import Connections
from gateway.registry.embedded.handover import dump
from gateway.registry.embedded.server import EmbeddedRegistry
from gateway.routing.carriers import Carriers
from gateway.routing.debug import DebugAccess
from gateway.routing.entry import EntryRouter
from gateway.routing.explain import explain
from gateway.routing.services import ServiceView, Turns
from gateway.routing.snapshot import Snapshot
from gateway.rules.compile import compile_rules
from gateway.rulesources.files import FILES_CHANGED, load_rules
from gateway.settings import Address, EmbeddedRegistrySettings, known_instances
from gateway.telemetry.counters import Traffic

_log = logging.getLogger("gateway")

SOCKETS = ("listen", "admin", "registry", "registry-grpc")
"""The names of its listening sockets: those of the settings that say where they listen."""
EXPIRY_WARNING = 14
"""Days before a certificate expires from which on every load says so."""
EXPIRY_RETRY = 10.0
"""Seconds after which closing lanes that have expired is tried again."""


class EntryGateway:
    """`gateway serve`."""

    def __init__(self, path: Path, overrides: Sequence[str] = ()) -> None:
        self._path = path
        self._book = RuleBook(path, overrides, self._reload)
        self._reloader: Reloader[ReadyGateway] = Reloader(self._book.build, self._apply, self._record)
        self._tasks: set[asyncio.Task[None]] = set()
        self._started_at = time.time()
        self._is_serving = False
        self._missed = ""
        self._is_draining = False
        self._has_successor = False
        self._embedded: EmbeddedRegistry | None = None
        self._expiry: asyncio.TimerHandle | None = None

    async def start(self, sockets: Sockets) -> None:
        """Raises ConfigError or StartError where it cannot."""
        # The configuration first, with rules from wherever they are kept: everything else is built from it.
        await self._book.open()
        ready = await self._reloader.start(self._book.last_revision, self._book.build_old)
        settings = self._settings = ready.loaded.settings
        warn_of_exposure(settings, self._path)
        # The sockets before the rest: a port in use should fail before anything is announced.
        await sockets.open("serve", SOCKETS)
        listening = sockets.of("listen", settings.listen.host, settings.listen.port, settings.workers)
        admin_socket = sockets.one_of("admin", settings.admin.host, settings.admin.port)
        host, port = listening[0].getsockname()[:2]
        # The embedded registry before anything that asks a registry.
        registry_sockets = self._open_embedded(sockets)
        self._know(await sockets.known())
        # The data plane: in this process, or in workers, which this process feeds. Then it only answers explain.
        self._plane = EntryPlane(settings)
        self._workers: Workers | None = None
        self._gone = Traffic(self._plane.knows)
        if settings.workers > 1:
            self._workers = Workers(
                "gateway.app.worker_process", dealt(listening, settings.workers), self._greeting, self._worker_gone
            )
        # Registries are asked, whatever kind they are, and the data plane is told what changed.
        self._registries = make_registries(
            settings.all_registries,
            self._service_changed,
            settings.chosen_registries,
            settings.state,
            self._embedded,
            own_addresses(host, port),
        )
        self._install(ready.build, self._reloader.state.revision)
        # Metrics and admin read what the other parts hold.
        collector = Collector(
            Observed(
                lambda: {"entry": self._traffic()},
                self._upstream_connections,
                self._registries,
                lambda: self._plane.snapshot,
                self._state,
                self._worker_counts,
                lambda: self._plane.certificates,
                lambda: expiries(self._plane.rules),
                lambda: self._book.copies.mirrors,
                self._failures,
                processes=self._processes,
            )
        )
        sources = Sources(
            not_ready=self._not_ready,
            status=self._status,
            services=lambda: describe_services(self._registries, self._plane.snapshot, self._ejected()),
            lanes=lambda: describe_lanes(self._plane.rules),
            metrics=collector.exposition,
            refresh=None if self._workers is None else self._workers.refresh,
            reader=self._reader(),
            explain=lambda request, client_ip, body: explain(
                self._plane.router, self._plane.rules, self._plane.around, request, client_ip=client_ip, body=body
            ),
            rules=self._book.api(self._reloader, self._reload, lambda: self._plane.around, lambda: self._settings),
            names=settings.allowed_hosts,
            token=settings.admin_token or "",
        )
        self._admin = AdminServer(settings.admin.host, settings.admin.port, sources)
        # Files are watched late: a reload needs all of the above.
        self._watcher = Watcher(partial(self._reload, FILES_CHANGED))
        self._watcher.watch(self._reloader.files)
        # Clients come in when they can be answered; beside the process whose place this one takes, if there is one.
        await sockets.wait_ready(self._waiting)
        if self._workers is None:
            await self._plane.listen(listening)
        else:
            await self._workers.start()
        # What two processes cannot have at once, last.
        self._know(await sockets.take_over())
        if self._embedded is not None:
            assert registry_sockets is not None
            await self._embedded.listen(*registry_sockets)
        await self._admin.start(admin_socket)
        self._is_serving = True
        if self._missed:
            # Not part of the start, which could be told to end: clients are served by now.
            self._tasks.add(keep_running("a reload", partial(self._reload, self._missed)))
        _log.info(
            "entry gateway on %s (%s), admin API on %s",
            Address(host=host, port=port),
            "1 worker" if settings.workers == 1 else f"{settings.workers} workers",
            Address(host=settings.admin.host, port=self._admin.port),
        )

    def state(self) -> State:
        """What is registered in the embedded registry."""
        return {} if self._embedded is None else {"registry": dump(self._embedded.store)}

    async def hand_over(self) -> State:
        """See Program."""
        self._has_successor = True
        await self._admin.close()
        if self._embedded is not None:
            await self._embedded.stop_listening()
        return self.state()

    def _know(self, state: State) -> None:
        if self._embedded is not None and "registry" in state:
            self._embedded.know(state["registry"])

    async def stop(self) -> None:
        """Drains and closes."""
        self._is_draining = True
        if self._expiry is not None:
            self._expiry.cancel()
        await self._watcher.close()
        await self._book.close()
        drain = self._settings.drain
        plane = self._plane if self._workers is None else self._workers
        # A successor has the port already: there is nobody who has to notice first.
        if not await plane.drain(0.0 if self._has_successor else drain.delay, drain.timeout):
            _log.warning("requests still in flight after %g s were cut off", drain.timeout)
        await plane.close()
        if self._workers is not None:
            await self._plane.close()  # it does not listen, but checks instances as the workers do
        await self._registries.close()
        if self._embedded is not None:
            await self._embedded.stop()
        await self._admin.close()

    async def reload(self) -> None:
        """What SIGHUP asks for."""
        await self._reload("SIGHUP")

    def reopen_logs(self) -> None:
        """What SIGUSR1 asks for: here, and in every worker."""
        if self._is_serving:
            self._plane.reopen_log()
            if self._workers is not None:
                self._workers.tell("reopen")

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _reload(self, cause: str, author: str = "") -> None:
        if not self._is_serving:
            self._missed = cause  # for when everything is there that a reload needs
            return
        await self._book.copies.mirrors.restore()
        await self._reloader.reload(cause, author)
        # A failed reload may be mended in a file that only now became part of the configuration.
        self._watcher.watch(self._reloader.files)

    async def _record(self, ready: ReadyGateway, revision: int, cause: str, author: str) -> None:
        await self._book.record(ready.loaded, revision, cause, author, time.time())

    def _apply(self, ready: ReadyGateway, revision: int) -> None:
        if self._is_serving:
            warn_of_restart(self._settings, ready.loaded.settings)
            self._settings = ready.loaded.settings
            self._install(ready.build, revision)

    def _install(self, build: EntryBuild, revision: int) -> None:
        settings = build.settings
        self._plane.configure(revision, build)
        for file, expires in self._plane.certificates.items():
            days = (expires - time.time()) / 86_400
            if days < EXPIRY_WARNING:
                _log.warning("certificate %s expire%s", file, f"s in {days:.0f} days" if days > 0 else "d")
        if self._workers is not None:
            self._workers.tell("configure", revision, settings, build.rules)
        self._gone.retain_lanes({(lane.group, lane.name) for lane in self._plane.snapshot.rules.lanes})
        self._look_at_expiry(build, revision)
        take_settings(self._registries, settings.all_registries)
        self._registries.choose(settings.chosen_registries)
        wanted = {route.service for route in settings.routes if route.service is not None}
        for service in wanted:
            self._registries.watch(service)
        for service in self._registries.watched:
            if service not in wanted:
                self._registries.unwatch(service)
                self._service_removed(service)

    def _look_at_expiry(self, build: EntryBuild, revision: int) -> None:
        """Warns of lanes that expire, and compiles the rules again when one does."""
        if self._expiry is not None:
            self._expiry.cancel()
            self._expiry = None
        now = time.time()
        for note in expiry_notes(build.rules, now):
            _log.warning("%s", note)
        wait = next_look(build.rules, now)
        if wait is not None:
            # A little later than the very moment: clocks of timer and rules are not the same.
            self._expiry = asyncio.get_running_loop().call_later(
                wait + 0.1, lambda: self._spawn(self._compile_again(build, revision))
            )

    async def _compile_again(self, build: EntryBuild, revision: int) -> None:
        """A lane has expired."""
        try:
            again = await asyncio.to_thread(EntryBuild.of, build.settings, build.rules)
            if revision == self._reloader.state.revision:
                self._install(again, revision)
        except Exception as error:  # noqa: BLE001 - whatever it is, a lane must not stay open for it for ever
            _log.error(
                "lanes that have expired stay open for now: %s", error, exc_info=not isinstance(error, ConfigError)
            )
            self._expiry = asyncio.get_running_loop().call_later(
                EXPIRY_RETRY, lambda: self._spawn(self._compile_again(build, revision))
            )

    # --- what the data plane is told

    def _service_changed(self, service: str, instances: tuple[Instance, ...]) -> None:
        self._plane.service_changed(service, instances)
        if self._workers is not None:
            self._workers.tell("service", service, [instance.as_row() for instance in instances])

    def _service_removed(self, service: str) -> None:
        self._plane.service_removed(service)
        self._gone.forget_service(service)
        if self._workers is not None:
            self._workers.tell("forget", service)

    def _greeting(self) -> list[Message]:
        """Everything that a new worker has to know."""
        ready = self._reloader.loaded
        if ready is None:
            return []
        views = self._plane.snapshot.services.values()
        return [
            ("configure", (self._plane.snapshot.revision, self._settings, ready.loaded.rules)),
            *(("service", (view.name, [instance.as_row() for instance in view.instances])) for view in views),
        ]

    # --- what the data plane tells

    def _worker_gone(self, statistics: dict[str, Any]) -> None:
        self._gone.add(statistics["traffic"], alive=False)

    def _traffic(self) -> Traffic:
        """What was counted, by all workers that there are and were."""
        if self._workers is None:
            self._plane.statistics()
            return self._plane.traffic
        total = Traffic(self._plane.knows)
        total.add(self._gone.dump())
        for statistics in self._workers.statistics():
            total.add(statistics["traffic"])
        return total

    def _upstream_connections(self) -> Connections:
        if self._workers is None:
            return self._plane.origins.statistics()
        total: Connections = {}
        for statistics in self._workers.statistics():
            for address, counts in statistics["origins"].items():
                before = total.get(address, (0, 0, 0, 0))
                active, idle, draining, tunnels = (mine + more for mine, more in zip(before, counts, strict=True))
                total[address] = (active, idle, draining, tunnels)
        return total

    def _ejected(self) -> dict[str, set[str]] | None:
        """Who is out in some worker, by service; None where this process routes itself."""
        if self._workers is None:
            return None
        found: dict[str, set[str]] = {}
        for statistics in self._workers.statistics():
            for service, addresses in statistics["ejected"].items():
                found.setdefault(service, set()).update(addresses)
        return found

    def _failures(self) -> dict[str, int]:
        """How often work in the background has failed, here and in the workers that there are."""
        total = Counter(failures)
        if self._workers is not None:
            for statistics in self._workers.statistics():
                total.update(statistics["failures"])
        return total

    def _processes(self) -> dict[str, int]:
        """The ids of this process and of the workers."""
        pids = {} if self._workers is None else self._workers.pids()
        return {"main": os.getpid(), **{f"worker-{index}": pid for index, pid in pids.items()}}

    def _worker_counts(self) -> tuple[int, int]:
        """Workers that run, and restarts so far."""
        return (1, 0) if self._workers is None else (len(self._workers.describe()), self._workers.restarts)

    def _open_embedded(self, sockets: Sockets) -> tuple[socket.socket, socket.socket] | None:
        """Opens the embedded registry, where there is to be one; the sockets that others will reach it at, HTTP and gRPC."""
        for registry in self._settings.all_registries.values():
            if isinstance(registry, EmbeddedRegistrySettings):
                host, port = registry.listen.host, registry.listen.port
                sock = sockets.one_of("registry", host, port)
                grpc = sockets.beside("registry-grpc", sock, host, "the embedded registry")
                self._embedded = EmbeddedRegistry(
                    host,
                    port,
                    warmup=registry.warmup,
                    data=registry.data,
                    users=registry.users,
                    tls=None if registry.tls is None else (registry.tls.cert, registry.tls.key),
                    names=self._settings.allowed_hosts,
                )
                self._embedded.open()
                return sock, grpc
        return None

    def _reader(self) -> HeadReader:
        return make_reader(self._settings)

    def _state(self) -> ReloadState:
        return self._reloader.state

    def _not_ready(self) -> list[str]:
        if self._is_draining:
            return ["draining"]
        if not self._is_serving:
            return ["starting"]
        idle = [] if self._workers is None else self._workers.not_serving()
        return [f"worker {index} does not serve" for index in idle] + self._waiting()

    def _waiting(self) -> list[str]:
        """What is not known yet that requests need."""
        waiting = [] if self._settings.ready_without_registry else unanswered(self._registries)
        return self._book.copies.not_ready(self._settings, self._state()) + waiting

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
            "runs_old_rules": state.runs_old_rules,
            "registries": describe_registries(self._registries),
            "workers": [] if self._workers is None else self._workers.describe(),
            "rules": self._book.copies.mirrors.describe(state.error),
            "draining": self._is_draining,
        }


def explain_files(
    config: Path,
    rules: Path | None,
    method: str,
    url: str,
    headers: Sequence[tuple[str, str]],
    client_ip: str,
    body: bytes = b"",
) -> dict[str, object]:
    """What a gateway started from `config` (with `rules` instead of its own, where given) would decide for a request.

    Only a static registry's instances are in the files; another's are taken as unknown. Raises ConfigError, and
    ProtocolError where the gateway would refuse the request.
    """
    loaded = load_gateway(config)
    settings = loaded.settings
    draft = loaded.rules if rules is None else load_rules([rules]).rules
    around = make_surroundings(settings)
    compiled = compile_rules(draft, around)
    known = known_instances(settings.all_registries.values()) or {}
    services = {
        name: ServiceView(name, instances, Turns(), compiled.rejoining(name)) for name, instances in known.items()
    }
    snapshot = Snapshot(1, compiled, make_routes(settings), services)
    carriers = Carriers(settings.carriers.header, settings.carriers.baggage)
    debug = None if settings.debug is None else DebugAccess(settings.debug.secret)
    router = EntryRouter(snapshot, carriers, random.Random(), tuple(settings.trusted), debug=debug)
    request = build_request(method, url, headers, reader=make_reader(settings), body=body)
    return explain(router, draft, around, request, client_ip=client_ip, body=body)
