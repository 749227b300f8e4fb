"""Instances over gRPC: lists that are pushed, and registrations that live as long as their connection.

A service is subscribed to once; its first list is the response, each later one a push. Whoever follows a service raises when
the connection is lost, as a poll would, and starts over: there is nothing to be done again behind anybody's back. Registrations
are: with each new connection, at once, with all there is to know of them. One that came back without its metadata would be
baseline.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from gateway.errors import RegistryError
from gateway.registry.base import Listing, Registration
from gateway.registry.nacos import messages
from gateway.registry.nacos.client import NacosClient
from gateway.registry.nacos.messages import JSON
from gateway.registry.records import Records
from gateway.registry.tags import OWN_KEY
from gateway.tags import BASE

if TYPE_CHECKING:
    from gateway.registry.nacos.rpc import Connection

_log = logging.getLogger("gateway.registry")

LOOK_AGAIN: Final = 30.0
"""Seconds without a push after which the list is asked for: that nothing has changed, or that a push was lost. And after which
it is asked for whether what was registered is listed still: the server may have lost it, or somebody else have taken it out."""


class Subscriptions:
    """Follows services. `records` reads the records of a list."""

    def __init__(
        self, client: NacosClient, namespace: str, group: str, records: Callable[[Sequence[Any]], Records]
    ) -> None:
        self._client = client
        self._namespace = namespace or "public"
        self._group = group
        self._records = records
        self._inboxes: dict[str, _Inbox] = {}

    async def follow(self, service: str) -> AsyncGenerator[Listing, None]:
        """The service's list at once, then whenever it has changed, or may have. Raises RegistryError."""
        rpc = self._client.rpc
        rpc.pushed["NotifySubscriberRequest"] = self._pushed
        connection = await rpc.connection()
        inbox = self._inboxes[service] = _Inbox()
        body = self._named(service)
        query = {**body, "cluster": "", "healthyOnly": False, "udpPort": 0}
        try:
            response = await rpc.request(
                connection, "SubscribeServiceRequest", {**body, "subscribe": True, "clusters": ""}
            )
            yield await self._believed(response.get("serviceInfo"), connection, inbox, query)
            while True:
                info = await inbox.next(connection)
                if info is None:
                    info = (await rpc.request(connection, "ServiceQueryRequest", query)).get("serviceInfo")
                elif _time_of(info) < inbox.time:
                    continue  # overtaken by what the same server has said since
                yield await self._believed(info, connection, inbox, query)
        finally:
            if self._inboxes.get(service) is inbox:
                del self._inboxes[service]

    def _pushed(self, body: JSON) -> None:
        """Takes a list that somebody here follows."""
        info = body.get("serviceInfo")
        if not isinstance(info, dict) or body.get("namespace") not in (None, "", self._namespace):
            return
        group, _, name = f"{info.get('name') or ''}".rpartition("@@")
        if (info.get("groupName") or group or self._group) != self._group or info.get("clusters"):
            return
        inbox = self._inboxes.get(name)
        if inbox is not None:
            inbox.put(info)

    def _named(self, service: str) -> JSON:
        return {"namespace": self._namespace, "serviceName": service, "groupName": self._group}

    async def _believed(self, info: Any, connection: Connection, inbox: _Inbox, query: JSON) -> Listing:
        """A list; if it is empty and there are other servers, what one of those says."""
        listing = self._listing(info, connection.address)
        inbox.time = _time_of(info)
        if listing.instances or not self._client.has_others:
            return listing
        elsewhere = self._client.rpc.elsewhere
        found = await elsewhere.ask(connection, "ServiceQueryRequest", query)
        if found is None:
            return listing
        response, address = found
        other = self._listing(response.get("serviceInfo"), address)
        if not other.instances:
            return listing
        elsewhere.move(connection, address)
        return other

    def _listing(self, info: Any, address: str) -> Listing:
        hosts = info.get("hosts") if isinstance(info, dict) else None
        if not isinstance(hosts, list):
            raise RegistryError("bad_response", "the instance list is not a list")
        is_forced = info.get("reachProtectionThreshold") is True
        return replace(self._records(hosts).listing(is_forced), node=address)


class _Inbox:
    """The latest list of a service that was pushed; `time` is that of the latest one read, as its server has it."""

    def __init__(self) -> None:
        self.time = 0
        self._info: JSON | None = None
        self._has_news = asyncio.Event()

    def put(self, info: JSON) -> None:
        self._info = info
        self._has_news.set()

    async def next(self, connection: Connection) -> JSON | None:
        """What was pushed, None where nothing was for a while. Raises RegistryError where the connection is lost."""
        await connection.wait_first(self._has_news, LOOK_AGAIN)
        self._has_news.clear()
        info, self._info = self._info, None
        return info


class Leases:
    """Keeps instances registered by the connection. `cluster` is the one to register in, empty for the default one."""

    def __init__(
        self,
        client: NacosClient,
        namespace: str,
        group: str,
        cluster: str,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client = client
        self._namespace = namespace or "public"
        self._group = group
        self._cluster = cluster
        self._wanted: dict[tuple[str, str, int], Registration] = {}
        self._known: dict[tuple[str, str, int], Connection] = {}
        self._clock = clock
        self._look_at: dict[tuple[str, str, int], float] = {}
        self._unlisted: set[tuple[str, str, int]] = set()

    async def register(self, registration: Registration) -> None:
        """Registers an instance, now and with every connection to come. Raises RegistryError."""
        rpc = self._client.rpc
        rpc.connected = self._redo
        connection = await rpc.connection()
        self._wanted[_place(registration)] = registration
        await self._tell(connection, registration)
        rpc.keep_connected()

    async def renew(self, registration: Registration) -> bool:
        """Whether it is registered: over the connection that there is, and now and then whether the server says so.

        Raises RegistryError where there is no connection.
        """
        connection = await self._client.rpc.connection()
        place = _place(registration)
        if self._known.get(place) is not connection:
            return False
        if self._clock() < self._look_at.get(place, 0.0):
            return True
        self._look_at[place] = self._clock() + LOOK_AGAIN * random.uniform(1.0, 1.5)
        if await self._is_listed(connection, registration):
            self._unlisted.discard(place)
            return True
        if place in self._unlisted:  # although it was registered again: an operator has taken it out of service
            return True
        self._unlisted.add(place)
        return False

    async def _is_listed(self, connection: Connection, registration: Registration) -> bool:
        service = {"namespace": self._namespace, "serviceName": registration.service, "groupName": self._group}
        query = {**service, "cluster": "", "healthyOnly": False, "udpPort": 0}
        try:
            response = await self._client.rpc.request(connection, "ServiceQueryRequest", query)
        except RegistryError:
            if connection.lost.is_set():
                raise
            return True  # it says nothing of it, as while it starts or is slow
        info = response.get("serviceInfo")
        hosts = info.get("hosts") if isinstance(info, dict) else None
        mine = (registration.host, registration.port)
        return any((host.get("ip"), host.get("port")) == mine for host in hosts or () if isinstance(host, dict))

    def forget(self, registration: Registration) -> None:
        """Does not register it with a new connection any more."""
        self._wanted.pop(_place(registration), None)

    def lose(self, registration: Registration) -> bool:
        """Leaves it to others, now and with a new connection; returns whether it was registered here."""
        self.forget(registration)
        return self._known.pop(_place(registration), None) is not None

    def holds(self, registration: Registration) -> bool:
        """Whether it is registered over a connection that is there still."""
        connection = self._known.get(_place(registration))
        return connection is not None and not connection.lost.is_set()

    async def end(self, registration: Registration) -> None:
        """Takes out what is held. Raises RegistryError, and holds it still."""
        connection = self._known[_place(registration)]
        await self._client.rpc.request(connection, "InstanceRequest", self._body(messages.DEREGISTER, registration))
        self._known.pop(_place(registration), None)

    async def _tell(self, connection: Connection, registration: Registration) -> None:
        await self._client.rpc.request(connection, "InstanceRequest", self._body(messages.REGISTER, registration))
        self._known[_place(registration)] = connection
        self._look_at[_place(registration)] = self._clock() + LOOK_AGAIN * random.uniform(1.0, 1.5)

    async def _redo(self, connection: Connection) -> None:
        for place, registration in list(self._wanted.items()):
            if place not in self._wanted:
                continue  # it left in the meantime
            try:
                await self._tell(connection, registration)
            except RegistryError as error:  # the registrar's next heartbeat finds that it is not registered
                _log.warning("cannot register %s again: %s", registration.service, error)

    def _body(self, kind: str, registration: Registration) -> JSON:
        instance = {
            "ip": registration.host,
            "port": registration.port,
            "weight": registration.weight,
            "healthy": True,
            "enabled": True,
            "ephemeral": True,
            "clusterName": self._cluster or "DEFAULT",
            "metadata": metadata_of(registration),
        }  # and no serviceName, as of Nacos' own clients: r-nacos would take it for the service's, whatever the request says
        service = {"namespace": self._namespace, "serviceName": registration.service, "groupName": self._group}
        return {**service, "type": kind, "instance": instance}


def metadata_of(registration: Registration) -> dict[str, str]:
    """What is registered of an instance beside its address: its metadata, and the tag."""
    tag = {} if registration.tag == BASE else {OWN_KEY: registration.tag}
    return {**registration.metadata, **tag}


def _place(registration: Registration) -> tuple[str, str, int]:
    return registration.service, registration.host, registration.port


def _time_of(info: Any) -> int:
    value = info.get("lastRefTime") if isinstance(info, dict) else None
    return value if isinstance(value, int) else 0
