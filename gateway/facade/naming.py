"""What an application is told of services, and what it says of itself, whatever protocol it speaks.

Every service that has instances is one instance: an address of the sidecar's outbound listener that stands for it. So the
application's own balancer, whichever it is, has one choice, and the sidecar chooses by the tag. What the application registers is
not listed: it becomes the metadata of the sidecar's own registration, whose address and tag are the sidecar's.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Final

from gateway.registry.embedded.store import Change, Lease, Place, Refused, ServiceKey, Store

_log = logging.getLogger("gateway.registry")

MOST_WAITED: Final = 2.0
"""Seconds that an application waits for the registry to say something of a service that it asks for: its own clients
give up after three."""


@dataclass(frozen=True, slots=True)
class Application:
    """What an application has registered: its address, which nobody else is told, and what is passed on."""

    host: str
    port: int
    weight: float
    enabled: bool
    metadata: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Behind:
    """What the façade needs of its sidecar.

    `is_there` says whether a service has instances, None where nothing is known of it yet; `learn` returns once that may be
    known, within so many seconds; `open` makes sure that the outbound listener takes connections for a service and says where.
    `refuses` is why an application cannot be registered as it is, empty if it can; `registered` takes it, or that it is gone.
    """

    own: ServiceKey
    is_there: Callable[[str], bool | None]
    learn: Callable[[str, float], Awaitable[None]]
    open: Callable[[str], Awaitable[tuple[str, int]]]
    refuses: Callable[[Application], str]
    registered: Callable[[Application | None], None]


class FacadeStore(Store):
    """A registry of services as the application is to see them."""

    def __init__(self, behind: Behind) -> None:
        super().__init__()
        self._behind = behind
        self._doors: dict[str, Lease] = {}
        self._application: Lease | None = None

    # --- what the application says of itself

    def register(self, key: ServiceKey, lease: Lease, now: float) -> None:
        """Takes what the application registers. Raises Refused for what is not the sidecar's service."""
        own = self._behind.own
        if key != own:
            raise Refused(
                f"this is the sidecar of service '{own.name}' (group {own.group}, namespace {own.namespace}), which cannot "
                f"register '{key.name}' (group {key.group}, namespace {key.namespace})"
            )
        application = Application(lease.host, lease.port, lease.weight, lease.enabled, lease.metadata)
        problem = self._behind.refuses(application)
        if problem:
            _log.error("the application was not registered: %s", problem)
            raise Refused(problem)
        lease.owner = ""  # whoever can reach the façade may speak for the application, over whatever connection
        self._application = lease
        self._behind.registered(application)

    def know(self, application: Application) -> None:
        """Takes what another process knew for registered."""
        metadata = dict(application.metadata)
        self._application = Lease(
            application.host,
            application.port,
            weight=application.weight,
            enabled=application.enabled,
            metadata=metadata,
        )

    def update(self, key: ServiceKey, place: Place, change: Change) -> None:
        """Takes what the application changes of itself. Raises Refused."""
        known = self.instance(key, *place)
        if known is None:
            raise Refused("instance not found")
        self.register(key, change.over(known), 0.0)

    def instance(self, key: ServiceKey, host: str, port: int, cluster: str) -> Lease | None:
        """The application as it registered, at its own address; nobody else is anywhere."""
        mine = self._application
        is_mine = mine is not None and key == self._behind.own and (host, port) == (mine.host, mine.port)
        return mine if is_mine else None

    def deregister(self, key: ServiceKey, host: str, port: int, cluster: str) -> bool:
        """Takes note that the application wants no more requests."""
        if self.instance(key, host, port, cluster) is None:
            return False
        self._application = None
        self._behind.registered(None)
        return True

    def forget(self) -> None:
        """Takes note that the application wants no more requests, wherever it is."""
        if self._application is not None:
            self._application = None
            self._behind.registered(None)

    def enable(self, is_enabled: bool) -> None:
        """Takes note whether the application, which stays registered, wants requests."""
        mine = self._application
        if mine is not None and mine.enabled is not is_enabled:
            mine.enabled = is_enabled
            self._behind.registered(Application(mine.host, mine.port, mine.weight, is_enabled, mine.metadata))

    def instances(self, key: ServiceKey, clusters: frozenset[str] = frozenset()) -> list[Lease]:
        """A service's one address, whatever clusters are asked for."""
        door = self._doors.get(key.name)
        return [] if door is None or not self._is_ours(key) else [door]

    def service_names(self, namespace: str, group: str) -> list[str]:
        """What is known while the registry cannot be asked."""
        return sorted(self._doors)

    # --- what it is told

    async def learn(self, key: ServiceKey) -> None:
        """Makes a service known before it is listed. Raises Refused for one that the sidecar does not look for."""
        own = self._behind.own
        if not self._is_ours(key):
            raise Refused(
                f"the sidecar finds services in group {own.group} of namespace {own.namespace}, not in group {key.group} of "
                f"namespace {key.namespace}: `registry.group` and `registry.namespace` say where"
            )
        if self._behind.is_there(key.name) is None:
            await self._behind.learn(key.name, MOST_WAITED)
        await self._show(key)

    async def changed(self, service: str) -> None:
        """Takes note that the registry says something else of a service that was asked for."""
        key = ServiceKey(self._behind.own.namespace, self._behind.own.group, service)
        before = self._doors.get(service)
        await self._show(key)
        if self._doors.get(service) is not before:
            self.service_changed(key)

    async def _show(self, key: ServiceKey) -> None:
        # Nothing known is not nobody there: the sidecar says so itself, or waits, when it is called.
        if key.name not in self._doors and self._behind.is_there(key.name) is not False:
            host, port = await self._behind.open(key.name)
            self._doors.setdefault(key.name, Lease(host, port))
        if self._behind.is_there(key.name) is False:  # it may have gone meanwhile
            self._doors.pop(key.name, None)

    def _is_ours(self, key: ServiceKey) -> bool:
        return (key.namespace, key.group) == (self._behind.own.namespace, self._behind.own.group)
