"""The registry as a sidecar's application is to see it, and what that has registered."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from gateway import hop
from gateway.app.addresses import own_metadata
from gateway.facade.naming import Application, Behind
from gateway.instance import Instance
from gateway.printable import printable
from gateway.protocols import is_grpc_port, with_grpc_port
from gateway.registry.base import Registration
from gateway.registry.embedded.store import Refused, ServiceKey
from gateway.registry.kinds import kind_of
from gateway.registry.tags import OWN_KEY, TagReader
from gateway.settings import NacosRegistrySettings
from gateway.settings.registry import DEFAULT_TAG_KEYS
from gateway.settings.sidecar import SidecarSettings
from gateway.tags import BASE

if TYPE_CHECKING:
    from gateway.facade.consul import ConsulFacade
    from gateway.facade.nacos import NacosFacade

_log = logging.getLogger("gateway")

MOST_ASKED: Final = 5_000
"""Services that an application may follow: each is watched in the registry for as long as the sidecar runs."""


class Facade:
    """Stands in for the registry, and knows what the application has registered through it.

    `learn` asks for a service, for so many seconds; `told` is called after the application has registered, or has left.
    """

    def __init__(
        self,
        settings: SidecarSettings,
        instances: Callable[[str], Sequence[Instance] | None],
        learn: Callable[[str, float], Awaitable[bool]],
        told: Callable[[], None],
    ) -> None:
        self._settings = settings
        self._instances = instances
        self._learn = learn
        self._told = told
        self._server: NacosFacade | ConsulFacade | None = None
        self._asked: set[str] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._beside: set[str] = set()
        self.application: Application | None = None
        self.bypasses = 0
        """How often the application was seen beside its sidecar."""

    async def start(
        self,
        sockets: Sequence[socket.socket],
        open_door: Callable[[str], Awaitable[tuple[str, int]]],
    ) -> None:
        """Begins to serve."""
        settings = self._settings
        registry = settings.facade_registry
        assert registry is not None
        assert settings.facade is not None
        namespace, group = (
            (registry.namespace, registry.group) if isinstance(registry, NacosRegistrySettings) else ("", "")
        )
        behind = Behind(
            ServiceKey.of(namespace, group, settings.service),
            self._is_there,
            self._ask,
            open_door,
            lambda application: next(self._problems(application), ""),
            self._registered,
        )
        address, names = settings.facade.address, settings.allowed_hosts
        if isinstance(registry, NacosRegistrySettings):
            from gateway.facade.nacos import NacosFacade

            self._server = NacosFacade(address, registry, behind, names)
        else:
            from gateway.facade.consul import ConsulFacade

            self._server = ConsulFacade(address, registry, behind, names)
        if self.application is not None:
            self._server.know(self.application)
        await self._server.start(*sockets)

    def know(self, state: Mapping[str, Any]) -> None:
        """Takes what the process before this one knew of the application (`state`). Before the start."""
        self.application = Application(**state)

    def service_changed(self, service: str, instances: Sequence[Instance]) -> None:
        """Takes what the registries say of a service."""
        if service == self._settings.service:
            self._look_beside(instances)
        if self._server is not None and service in self._asked:
            task = asyncio.get_running_loop().create_task(self._server.changed(service))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    @property
    def asked(self) -> frozenset[str]:
        """The services that the application follows."""
        return frozenset(self._asked)

    @property
    def beside(self) -> list[str]:
        """The application's own addresses that are registered as well as its sidecar's."""
        return sorted(self._beside)

    @property
    def is_registered(self) -> bool:
        """Whether the application wants requests."""
        return self.application is not None and self.application.enabled

    def registration(self, own: Registration) -> Registration:
        """The sidecar's registration with what the application has said: address and tag are the sidecar's."""
        application = self.application
        if application is None:
            return own
        metadata = with_grpc_port({**application.metadata, **own.metadata}, own.port)
        weight = application.weight if own.weight == 1 else own.weight
        return Registration(own.service, own.host, own.port, own.tag, weight, metadata)

    def state(self) -> dict[str, Any] | None:
        """What the next process has to know of the application."""
        said = self.application
        if said is None:
            return None
        plain = {name: getattr(said, name) for name in ("host", "port", "weight", "enabled")}
        return {**plain, "metadata": dict(said.metadata)}

    async def close(self) -> None:
        """Stops serving."""
        for task in self._tasks:
            task.cancel()
        if self._server is not None:
            await self._server.close()

    def _is_there(self, service: str) -> bool | None:
        instances = self._instances(service)
        return None if instances is None else bool(instances)

    async def _ask(self, service: str, timeout: float) -> None:
        if len(self._asked) >= MOST_ASKED and service not in self._asked:
            raise Refused(f"the application follows {MOST_ASKED} services already: '{service}' is one too many")
        self._asked.add(service)
        await self._learn(service, timeout)

    def _registered(self, application: Application | None) -> None:
        if application == self.application:
            return
        self.application = application
        if application is None:
            _log.info("the application has deregistered")
        else:
            _log.info("the application has registered, at %s:%d", application.host, application.port)
            self._look_for_grpc(application)
        self._told()

    def _look_for_grpc(self, application: Application) -> None:
        """Says so if the application takes gRPC calls elsewhere than its sidecar sends them."""
        app = self._settings.app
        for key, value in application.metadata.items():
            if is_grpc_port(key, value) and value != str(app.port):
                _log.warning(
                    "the application takes gRPC calls on port %.20s (%.20s in its metadata), but `app` is %s: its sidecar "
                    "sends all requests there, gRPC calls too",
                    printable(value),
                    printable(key),
                    app,
                )

    def _problems(self, application: Application) -> Iterator[str]:
        """Why an application cannot be registered: its metadata must say of its tag what the sidecar does.

        Else peers would take a gray instance for a baseline one, or the other way round.
        """
        settings = self._settings
        tag = {} if settings.tag == BASE else {OWN_KEY: settings.tag}
        metadata = {**application.metadata, **settings.metadata, **tag}
        remote = settings.remote_registries.values()
        for keys in (DEFAULT_TAG_KEYS, *(tuple(item.tag_keys) for item in remote)):
            found = TagReader(keys).tag_of(metadata)
            if found != settings.tag:
                yield f"its metadata says tag '{found}', its sidecar's `tag` is '{settings.tag}': make them the same"
        all_of_it = {**application.metadata, **settings.metadata, **own_metadata(settings)}
        said = Registration(settings.service, "", 1, settings.tag, settings.weight, all_of_it)
        for registry in settings.all_registries.values():
            for place, message in kind_of(registry).refuses(said):
                yield f"{place[0]}: {message}"

    def _look_beside(self, instances: Sequence[Instance]) -> None:
        """Looks whether the application is registered at its own address as well: half of its requests go past the sidecar."""
        settings = self._settings
        hosts = {settings.app.host, settings.advertise, None if self.application is None else self.application.host}
        found = {
            instance.address
            for instance in instances
            if instance.port == settings.app.port
            and instance.host in hosts
            and hop.SIDECAR_KEY not in instance.metadata
        }
        for address in sorted(found - self._beside):
            self.bypasses += 1
            _log.warning(
                "the application is registered at %s as well as its sidecar: requests bypass the sidecar and leave their lane; "
                "give the application no registry address but the façade's",
                address,
            )
        self._beside = found
