"""`gateway sidecar`: the sidecar put together."""

from __future__ import annotations

import logging
import socket
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Final

from gateway.admin.door import AdminDoor, Api
from gateway.app.addresses import find_address, own_metadata
from gateway.app.build import Build
from gateway.app.configuration import Configuration
from gateway.app.exposure import warn_of_exposure
from gateway.app.learning import Learner
from gateway.app.life import Life
from gateway.app.parts import is_traced
from gateway.app.registrations import Registrations
from gateway.app.registries import make_registries, take_settings
from gateway.app.sidecar_plane import SidecarPlane
from gateway.app.sidecar_view import SidecarView
from gateway.app.sockets import Sockets
from gateway.app.takeover import State
from gateway.control.drains import Drains
from gateway.daemons import keep_running
from gateway.health.application import ApplicationWatch
from gateway.instance import Instance
from gateway.live.records import Records
from gateway.live.spans import Spans
from gateway.protocols import with_grpc_port
from gateway.registry.base import Registration
from gateway.settings import Address
from gateway.settings.sidecar import SidecarSettings
from gateway.telemetry.request_record import Reporter
from gateway.web.names import OwnNames

if TYPE_CHECKING:
    from gateway.app.facade import Facade

_log = logging.getLogger("gateway")

SOCKETS: Final = ("inbound", "outbound", "admin", "facade", "facade-grpc")
"""The names of its listening sockets: those of the settings that say where they listen."""
OUTBOUND_DRAIN: Final = 1.0
"""Seconds that outbound requests have which no inbound request waits for: those are done by then."""


class Sidecar:
    """`gateway sidecar`."""

    def __init__(self, path: Path, overrides: Sequence[str] = ()) -> None:
        self._path = path
        self._life = Life()
        self._configuration = Configuration(SidecarSettings, path, overrides, self._install)
        self._plane: SidecarPlane | None = None
        self._facade: Facade | None = None
        self._drains: Drains | None = None

    async def start(self, parts: AsyncExitStack, sockets: Sockets) -> None:
        """See Program. Raises ConfigError, StartError or GatewayError if it cannot."""
        # The configuration first, with rules from wherever they are kept: everything else is built from it.
        await self._configuration.open(parts)
        settings = self._configuration.settings
        warn_of_exposure(settings, self._path)
        # All sockets before the rest: nothing is registered before peers can reach it.
        parts.callback(sockets.release)
        await sockets.open("sidecar", SOCKETS)
        inbound = sockets.one_of("inbound", settings.inbound.host, settings.inbound.port)
        outbound = sockets.one_of("outbound", settings.outbound.host, settings.outbound.port)
        admin_socket = sockets.one_of("admin", settings.admin.host, settings.admin.port)
        doors = [sockets.one_of(f"outbound {name}", at.host, at.port) for name, at in settings.outbounds.items()]
        facade_sockets = _facade_sockets(settings, sockets)
        inbound_port, outbound_port = inbound.getsockname()[1], outbound.getsockname()[1]
        own = self._own = _registration(settings, inbound_port)
        address = Instance(own.host, own.port).address
        reporter = Reporter(settings.service, "sidecar", settings.tag, address)
        # Spans before all that makes some: with its last part gone, those of the last requests are exported.
        spans = Spans(is_traced(settings), reporter)
        parts.push_async_callback(spans.close)
        # What routes, before the registries that report changes to it.
        plane = self._plane = SidecarPlane(settings)
        parts.push_async_callback(plane.close)
        drains = self._drains = Drains(self._service_changed)
        registries = self._registries = make_registries(settings, drains.service_changed)
        parts.push_async_callback(registries.close)
        drains.open(registries, settings.state)
        learner = Learner(self._configuration, plane, registries, self._kept)
        if settings.facade is not None:
            from gateway.app.facade import Facade

            self._facade = Facade(settings, plane.instances, learner.watch, self._told)
        # Whether the application takes requests is what is registered, so both are made before admin, which shows them.
        watch = self._watch = ApplicationWatch(
            settings.service, plane.app, settings.app_check, plane.app_spoken, self._app_changed
        )
        registrations = self._registrations = Registrations(registries, own, is_usable=self._takes_requests)
        records = Records(settings.records, reporter)
        view = SidecarView(
            self._life,
            self._configuration,
            registries,
            records,
            spans,
            drains=drains,
            plane=plane,
            application=watch,
            registrations=registrations,
            facade=self._facade,
        )
        # Admin is there until the last request is: who drains says so.
        admin = self._admin = _admin_door(settings, view, records, drains)
        parts.push_async_callback(records.close)
        parts.push_async_callback(admin.close)
        # Now there is all that a configuration is installed in. Files are watched until the last request is done.
        parts.push_async_callback(self._configuration.close)
        self._configuration.begin()
        # The application is watched before peers come: a process that takes another one's place waits for what it finds.
        parts.push_async_callback(watch.close)
        watch.start()
        await sockets.wait_ready(view.waiting)
        # Of a process whose place this one takes, first what its requests were marked with: calls of theirs may come here.
        await sockets.take_over(self._know)
        if self._facade is not None:
            parts.push_async_callback(self._facade.close)
        # Outbound ends after inbound, and after peers find the instance no more: what is in flight there still calls out.
        parts.push_async_callback(plane.drain_outbound, OUTBOUND_DRAIN)
        parts.push_async_callback(self._deregister)
        parts.push_async_callback(self._drain)
        parts.push_async_callback(self._withdraw)
        await plane.listen(inbound, outbound, learner.learn, doors)
        # The application finds others through it, so that it comes after the outbound listener.
        if self._facade is not None:
            await self._facade.start(facade_sockets, plane.open_door)
            registries.watch(settings.service)
        # Registered when both listeners serve; peers come as soon as the application takes requests.
        registrations.start()
        await admin.start(admin_socket)
        records.start(plane.taker.take)
        spans.start(plane.taker.take_traced)
        parts.callback(keep_running("noting the last hits of lanes", view.follow_hits).cancel)
        # From here on peers have to notice that it leaves, and changes of the configuration are taken as they come.
        parts.callback(self._life.leave)
        self._life.begin()
        self._configuration.follow()
        _log.info(
            "sidecar of %s (tag %s): inbound %s, outbound %s, app %s",
            settings.service,
            settings.tag,
            Address(host=settings.inbound.host, port=inbound_port),
            Address(host=settings.outbound.host, port=outbound_port),
            settings.app,
        )

    def state(self) -> State:
        """What requests were marked with, what the application has registered, and which instances are drained."""
        known = None if self._facade is None else self._facade.state()
        drained = [] if self._drains is None else self._drains.describe()
        return {} if self._plane is None else {**self._plane.state(), "application": known, "drains": drained}

    def _know(self, state: State) -> None:
        assert self._plane is not None
        self._plane.know(state)
        if self._drains is not None and "drains" in state:
            self._drains.know(state["drains"])
        if self._facade is not None and state.get("application"):
            self._facade.know(state["application"])
            self._told()

    async def hand_over(self) -> State:
        """See Program. The instance stays registered: it keeps serving at the same address."""
        self._life.has_successor = True
        assert self._plane is not None
        await self._registrations.hand_over()
        await self._admin.close()
        if self._facade is not None:
            await self._facade.close()
        # Before it gets what is known, because updates from now on arrive there.
        await self._plane.stop_accepting()
        return self.state()

    async def reload(self) -> None:
        """On SIGHUP."""
        await self._configuration.reload("SIGHUP")

    def reopen_logs(self) -> None:
        """On SIGUSR1."""
        if self._plane is not None:
            self._plane.reopen_log()

    async def _withdraw(self) -> None:
        if not self._life.has_successor:
            await self._registrations.withdraw()

    async def _drain(self) -> None:
        drain = self._configuration.settings.drain
        assert self._plane is not None
        if not await self._plane.drain_inbound(self._life.notice(drain.delay), drain.timeout):
            _log.warning("requests still in flight after %g s were cut off", drain.timeout)

    async def _deregister(self) -> None:
        if not self._life.has_successor:
            await self._registrations.stop()

    @property
    def _takes_requests(self) -> bool:
        """Whether the application does, and wants them."""
        return self._watch.is_up and (self._facade is None or self._facade.is_registered)

    def _app_changed(self, _: bool) -> None:
        self._registrations.set_usable(self._takes_requests)

    def _told(self) -> None:
        """The application has registered, or has left."""
        if self._facade is not None:
            self._registrations.change(self._facade.registration(self._own))
        self._registrations.set_usable(self._takes_requests)

    def _service_changed(self, service: str, instances: tuple[Instance, ...]) -> None:
        assert self._plane is not None
        self._plane.service_changed(service, instances)
        if self._facade is not None:
            self._facade.service_changed(service, instances)

    def _kept(self) -> frozenset[str]:
        """Services that the application follows, be there nobody or not."""
        return frozenset() if self._facade is None else self._facade.asked | {self._configuration.settings.service}

    def _install(self, build: Build[SidecarSettings], revision: int) -> None:
        assert self._plane is not None
        self._plane.configure(revision, build)
        take_settings(self._registries, build)


def _admin_door(settings: SidecarSettings, view: SidecarView, records: Records, drains: Drains) -> AdminDoor:
    host, port, names = settings.admin.host, settings.admin.port, settings.allowed_hosts

    def load() -> Callable[[], Api]:
        from gateway.admin.server import AdminServer

        token = settings.admin_token or ""
        return lambda: AdminServer(host, port, view, records=records, drains=drains, names=names, token=token)

    return AdminDoor(host, port, view, load, OwnNames(host, names))


def _facade_sockets(settings: SidecarSettings, sockets: Sockets) -> list[socket.socket]:
    """Those of the façade: for HTTP, and of Nacos for gRPC. Raises StartError."""
    if settings.facade is None:
        return []
    address = settings.facade.address
    http = sockets.one_of("facade", address.host, address.port)
    if settings.facade.nacos is None:
        return [http]
    return [http, sockets.beside("facade-grpc", http, address.host, "the façade")]


def _registration(settings: SidecarSettings, port: int) -> Registration:
    """What is registered. Peers say by our own name whom they mean: they may call the service otherwise.

    Raises GatewayError if this host's address cannot be found.
    """
    host = settings.advertise or find_address(settings.inbound.host)
    metadata = with_grpc_port({**settings.metadata, **own_metadata(settings)}, port)
    return Registration(settings.service, host, port, settings.tag, settings.weight, metadata)
