"""`gateway serve`: the entry gateway put together."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Final

from gateway.admin.server import AdminServer
from gateway.app.addresses import own_addresses
from gateway.app.build import Build
from gateway.app.configuration import Configuration
from gateway.app.entry_view import EntryView
from gateway.app.explainer import EntryExplainer
from gateway.app.exposure import warn_of_exposure
from gateway.app.fleet import Fleet, make_fleet
from gateway.app.guarding import Guarding
from gateway.app.life import Life
from gateway.app.parts import is_traced
from gateway.app.registries import make_registries, take_settings
from gateway.app.rulebook import RuleBook
from gateway.app.sockets import Sockets
from gateway.app.takeover import State
from gateway.control.drains import Drains
from gateway.control.guard.webhook import Webhook
from gateway.daemons import keep_running
from gateway.live.records import Records
from gateway.live.spans import Spans
from gateway.live.trends import Trends
from gateway.routing.plans import RouteSet
from gateway.settings import Address, EmbeddedRegistrySettings
from gateway.settings.gateway import GatewaySettings
from gateway.telemetry.request_record import Reporter

if TYPE_CHECKING:
    from gateway.gatewayapi.source import GatewayApiSource
    from gateway.registry.embedded.server import EmbeddedRegistry

_log = logging.getLogger("gateway")

SOCKETS: Final = ("listen", "admin", "registry", "registry-grpc")
"""The names of its listening sockets: those of the settings that say where they listen."""


class EntryGateway:
    """`gateway serve`."""

    def __init__(self, path: Path, overrides: Sequence[str] = ()) -> None:
        self._path = path
        self._life = Life()
        self._configuration = Configuration(GatewaySettings, path, overrides, self._install, keeps_history=True)
        self._embedded: EmbeddedRegistry | None = None
        self._fleet: Fleet | None = None
        self._gateway_api: GatewayApiSource | None = None
        self._drains: Drains | None = None

    async def start(self, parts: AsyncExitStack, sockets: Sockets) -> None:
        """See Program. Raises ConfigError or StartError if it cannot."""
        # The configuration first, with rules from wherever they are kept: everything else is built from it.
        await self._configuration.open(parts)
        settings = self._configuration.settings
        warn_of_exposure(settings, self._path)
        # The sockets before the rest: a port in use should fail before anything is announced.
        parts.callback(sockets.release)
        await sockets.open("serve", SOCKETS)
        listening = sockets.of("listen", settings.listen.host, settings.listen.port, settings.workers)
        admin_socket = sockets.one_of("admin", settings.admin.host, settings.admin.port)
        host, port = listening[0].getsockname()[:2]
        # The embedded registry before anything that queries one. It begins to listen at the end.
        registry_sockets = None
        if settings.embedded_registry is not None:
            listen = settings.embedded_registry.listen
            http = sockets.one_of("registry", listen.host, listen.port)
            registry_sockets = http, sockets.beside("registry-grpc", http, listen.host, "the embedded registry")
            self._embedded = _open_registry(settings.embedded_registry, settings.allowed_hosts)
            parts.push_async_callback(self._embedded.stop)
        # Spans before all that makes some: with its last part gone, those of the last requests are exported.
        spans = Spans(is_traced(settings), Reporter(settings.name))
        parts.push_async_callback(spans.close)
        # What routes: this process, or workers, which this process feeds. Then its own plane only explains.
        fleet = self._fleet = make_fleet(settings)
        parts.push_async_callback(fleet.close)
        # Registries of all kinds are watched from here, and changes are reported to what routes.
        drains = self._drains = Drains(fleet.service_changed)
        registries = self._registries = make_registries(
            settings, drains.service_changed, self._embedded, own_addresses(host, port)
        )
        parts.push_async_callback(registries.close)
        drains.open(registries, settings.state)
        self._know(await sockets.known())
        # Routes that are objects of a cluster come in beside those of the configuration.
        if settings.gateway_api is not None:
            from gateway.app.gatewayapi import make_source

            self._gateway_api = make_source(settings, self._attach)
        if self._gateway_api is not None:
            parts.push_async_callback(self._gateway_api.close)
        # Admin reads what the other parts hold. It is there until the last request is: who drains says so.
        records = Records(settings.records, Reporter(settings.name))
        # Guards of lanes change rules as people do, by the one editor.
        book = RuleBook(self._configuration, fleet.plane, records.own)
        webhook = Webhook(lambda: self._configuration.settings.guard)
        guarding = Guarding(fleet, book.editor, webhook)
        view = EntryView(
            self._life,
            self._configuration,
            registries,
            records,
            spans,
            drains=drains,
            fleet=fleet,
            guarding=guarding,
            trends=Trends(),
            gateway_api=self._gateway_api,
        )
        admin = self._admin = AdminServer(
            settings.admin.host,
            settings.admin.port,
            view,
            explainer=EntryExplainer(fleet.plane, settings, drains),
            rules=book.api(),
            groups=book.groups_api(),
            records=records,
            drains=drains,
            names=settings.allowed_hosts,
            token=settings.admin_token or "",
        )
        parts.push_async_callback(admin.close)
        # Now there is all that a configuration is installed in. Files are watched until the last request is done.
        parts.push_async_callback(self._configuration.close)
        self._configuration.begin()
        if self._gateway_api is not None:
            self._gateway_api.start()
        # Clients come in when requests can be served; beside the process whose place this one takes, if there is one.
        await sockets.wait_ready(view.waiting)
        parts.push_async_callback(self._drain)
        await fleet.listen(listening)
        # What two processes cannot have at once, last.
        await sockets.take_over(self._know)
        if self._embedded is not None and registry_sockets is not None:
            await self._embedded.listen(*registry_sockets)
        await admin.start(admin_socket)
        records.start(fleet.take_records)
        spans.start(fleet.take_traced)
        parts.callback(keep_running("noting the last hits of lanes", view.follow_hits).cancel)
        parts.callback(keep_running("the guards of lanes", guarding.run).cancel)
        parts.callback(keep_running("events of guards", webhook.run).cancel)
        # From here on clients have to notice that it leaves, and changes of the configuration are taken as they come.
        parts.callback(self._life.leave)
        self._life.begin()
        self._configuration.follow()
        _log.info(
            "entry gateway on %s (%s), admin API on %s",
            Address(host=host, port=port),
            "1 worker" if settings.workers == 1 else f"{settings.workers} workers",
            Address(host=settings.admin.host, port=admin.port),
        )

    def state(self) -> State:
        """What is registered in the embedded registry, and which instances are drained."""
        known: State = {}
        if self._embedded is not None:
            from gateway.registry.embedded.handover import dump

            known["registry"] = dump(self._embedded.store)
        if self._drains is not None:
            known["drains"] = self._drains.describe()
        return known

    async def hand_over(self) -> State:
        """See Program."""
        self._life.has_successor = True
        await self._admin.close()
        if self._embedded is not None:
            await self._embedded.stop_listening()
        return self.state()

    async def reload(self) -> None:
        """On SIGHUP."""
        await self._configuration.reload("SIGHUP")

    def reopen_logs(self) -> None:
        """On SIGUSR1: here, and in every worker."""
        if self._fleet is not None:
            self._fleet.reopen_logs()

    def _know(self, state: State) -> None:
        if self._embedded is not None and "registry" in state:
            self._embedded.know(state["registry"])
        if self._drains is not None and "drains" in state:
            self._drains.know(state["drains"])

    async def _drain(self) -> None:
        drain = self._configuration.settings.drain
        assert self._fleet is not None
        if not await self._fleet.drain(self._life.notice(drain.delay), drain.timeout):
            _log.warning("requests still in flight after %g s were cut off", drain.timeout)

    def _install(self, build: Build[GatewaySettings], revision: int) -> None:
        assert self._fleet is not None
        self._fleet.configure(revision, build)
        take_settings(self._registries, build)
        self._watch_services(build)

    def _attach(self, routes: RouteSet) -> None:
        """Routes from elsewhere have changed."""
        assert self._fleet is not None
        self._fleet.attach(routes)
        self._watch_services(self._configuration.build)

    def _watch_services(self, build: Build[GatewaySettings]) -> None:
        """Watches the services that there are routes to, and no others."""
        assert self._fleet is not None
        registries = self._registries
        wanted = {route.service for route in build.settings.routes if route.service is not None}
        wanted |= self._fleet.plane.attached.services
        for service in wanted:
            registries.watch(service)
        for service in registries.watched:
            if service not in wanted:
                registries.unwatch(service)
                self._fleet.service_removed(service)


def _open_registry(settings: EmbeddedRegistrySettings, names: Sequence[str]) -> EmbeddedRegistry:
    """Raises StartError if its data cannot be read."""
    from gateway.registry.embedded.server import EmbeddedRegistry

    registry = EmbeddedRegistry(
        settings.listen.host,
        settings.listen.port,
        warmup=settings.warmup,
        data=settings.data,
        names=names,
        users=settings.users,
        tls=None if settings.tls is None else (settings.tls.cert, settings.tls.key),
    )
    registry.open()
    return registry
