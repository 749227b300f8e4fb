"""Every origin of this process, by address and by how it is spoken to."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Final

from gateway.http.request import Request
from gateway.http2.terms import Terms
from gateway.instance import Instance
from gateway.protocols import AUTO, H2, H2C, HTTP1
from gateway.proxy.connection import Outbox
from gateway.proxy.multiplexing import SILENCE, MultiplexedOrigin
from gateway.proxy.origin import Origin
from gateway.proxy.runqueue import RunQueue
from gateway.tls.contexts import Spoken, UpstreamTLS
from gateway.tls.mesh import Secured

STATES: Final = ("active", "idle", "draining", "tunnel")
Connections = dict[str, tuple[int, int, int, int]]
"""How many connections to each address are in each of these states."""
_Key = tuple[str, str, str]
"""The registered address, how it is spoken to, and the service whose terms hold, empty if none do."""
_TRAILING: Final = " with trailers"


class Origins:
    """Every origin of this process. What most of them speak, HTTP/1.1 on plain connections, is found by address alone.

    `outbox` and `queue` are for both sides of the exchanges with them. `streams` is how many requests one connection carries at
    a time at the most, where it carries several, and `head_bytes` the most that a head has there. `silence` is after how many
    seconds one that owes a response is asked whether it is there, 0: never.
    """

    __slots__ = (
        "_beside",
        "_by_address",
        "_common_tls",
        "_leaving",
        "_limit",
        "_loop",
        "_others",
        "_protocols",
        "_secured",
        "_silence",
        "_streams",
        "_terms",
        "outbox",
        "queue",
    )

    def __init__(
        self, limit: int = 256, streams: int = 100, head_bytes: int = 65_536, *, silence: float = SILENCE
    ) -> None:
        self._limit = limit
        self._streams = streams
        self._silence = silence
        # Its connections have room for all that their streams may hold: one whose reader stands still stops no other.
        self._terms = Terms(streams=streams, connection_window=streams * 262_144, list_bytes=head_bytes)
        self._loop = asyncio.get_running_loop()
        self.outbox = Outbox(self._loop.call_soon)
        self.queue = RunQueue(self._loop.call_soon)
        self._by_address: dict[str, Origin] = {}
        self._others: dict[_Key, Origin] = {}
        self._beside: dict[str, list[Origin]] = {}  # the same, by address
        self._leaving: list[Origin] = []
        self._secured: Secured | None = None
        self._protocols: dict[str, str] = {}
        self._common_tls: UpstreamTLS | None = None

    def secure(self, secured: Secured, protocols: Mapping[str, str] | None = None) -> None:
        """Says which instances are spoken to in TLS, and which protocol is set for some services, by name.

        Connections made under other terms are retired.
        """
        old, new = self._secured or Secured(), secured
        changed = {key[2] for key in self._others if key[2] and old.fingerprint(key[2]) != new.fingerprint(key[2])}
        self._retire_others([key for key in self._others if key[2] in changed])
        self._secured = secured if secured.is_used else None
        self._protocols = dict(protocols or {})

    def of(self, instance: Instance, service: str, request: Request | None = None) -> Origin:
        """The origin of an instance of a service that can take a request (None: any ordinary one), made when first needed."""
        is_grpc = request is not None and request.is_grpc  # which is HTTP/2, whatever else there is
        if is_grpc or not instance.is_plain or self._secured is not None or self._protocols:
            return self._other(instance, service, is_grpc, request)
        origin = self._by_address.get(instance.address)
        if origin is None:
            origin = Origin(instance, self._limit, self._loop, self.outbox, self.queue)
            self._by_address[instance.address] = origin
        return origin

    def spoken(self, instance: Instance, service: str, is_grpc: bool) -> Spoken:
        """How an instance of a service is spoken to: for gRPC, or any other request."""
        return (self._other(instance, service, True, None) if is_grpc else self.of(instance, service)).spoken

    def _other(self, instance: Instance, service: str, is_grpc: bool, request: Request | None) -> Origin:
        is_tunnel = request is not None and request.upgrade != b""
        registered = instance.address
        if is_grpc and instance.grpc is not None:
            instance = instance.grpc
        tls = None if self._secured is None else self._secured.of(service, instance)
        protocol = self._protocols.get(service, AUTO)
        is_set = protocol != AUTO
        if not is_set:
            protocol = instance.protocol
        is_secure = tls is not None or instance.is_secure or protocol == H2
        if is_tunnel and not is_set and (is_secure or instance.has_sidecar):
            protocol = HTTP1  # a tunnel is a connection of its own where it can be
        if tls is not None and tls.multiplexed is None:
            protocol = HTTP1
        elif is_secure and protocol == H2C:
            protocol = AUTO  # in TLS it is agreed on, whatever was announced
        if not is_secure:
            if protocol == AUTO:
                protocol = H2C if is_grpc else HTTP1
            if protocol == HTTP1:
                return self._plain(instance)
        # Trailers may end the connection on which they come (https://github.com/nginx/nginx/issues/1527): it is nobody else's.
        trails = protocol != HTTP1 and not instance.has_sidecar and request is not None and request.announces_trailers
        way = protocol + _TRAILING if trails else protocol
        if instance.address != registered:
            way += instance.address
        key = (registered, way, "" if tls is None else service)
        origin = self._others.get(key)
        if origin is None:
            if is_secure and tls is None:
                tls = self._common_tls
                if tls is None:
                    tls = self._common_tls = UpstreamTLS.load(None, "", True, is_multiplexed=True)
            origin = self._others[key] = self._make(instance, protocol, tls, is_set or is_grpc)
            self._beside.setdefault(registered, []).append(origin)
            origin.takes_trailers = protocol == HTTP1 or instance.has_sidecar or trails
        return origin

    def _plain(self, instance: Instance) -> Origin:
        origin = self._by_address.get(instance.address)
        if origin is None:
            origin = self._by_address[instance.address] = self._make(instance, HTTP1, None, True)
        return origin

    def _make(self, instance: Instance, protocol: str, tls: UpstreamTLS | None, is_certain: bool) -> Origin:
        if protocol == HTTP1:
            return Origin(instance, self._limit, self._loop, self.outbox, self.queue, tls)
        return MultiplexedOrigin(
            instance,
            self._limit,
            self._loop,
            self.outbox,
            self.queue,
            tls,
            streams=self._streams,
            is_certain=is_certain,
            terms=self._terms,
            silence=self._silence,
        )

    def retire(self, address: str) -> None:
        """Forgets an instance that no service has any more: its idle connections close, busy ones finish."""
        origin = self._by_address.pop(address, None)
        if origin is not None:
            self._leave(origin)
        if self._others:
            self._retire_others([key for key in self._others if key[0] == address])

    def close_idle(self, before: float) -> None:
        """Closes connections that have been idle since before this time; origins without any are forgotten."""
        for address, origin in list(self._by_address.items()):
            origin.close_idle(before)
            if origin.is_unused:
                del self._by_address[address]
        for key, origin in list(self._others.items()):
            origin.close_idle(before)
            if origin.is_unused:
                self._forget(key)
        if self._leaving:
            self._leaving = [origin for origin in self._leaving if origin.open or origin.tunnels]

    def statistics(self) -> Connections:
        """Connections in each state by address; draining are those of instances that are gone, and still at work."""
        found: Connections = {}
        for origin in (*self._by_address.values(), *self._others.values()):
            active, idle, draining, tunnels = found.get(origin.address, (0, 0, 0, 0))
            active += origin.open - origin.idle
            found[origin.address] = (active, idle + origin.idle, draining, tunnels + origin.tunnels)
        for origin in self._leaving:
            active, idle, draining, tunnels = found.get(origin.address, (0, 0, 0, 0))
            found[origin.address] = (active, idle, draining + origin.open + origin.tunnels, tunnels)
        return found

    def in_flight(self, address: str) -> int:
        """How many requests are under way at an instance, those that wait for a connection to it included."""
        origin = self._by_address.get(address)
        found = 0 if origin is None else origin.requests
        if self._beside:
            for origin in self._beside.get(address, ()):
                found += origin.requests
        return found

    def requests(self) -> dict[str, int]:
        """How many requests are under way at each address, those included that began before its instance went."""
        found: dict[str, int] = {}
        for origin in (*self._by_address.values(), *self._others.values(), *self._leaving):
            found[origin.address] = found.get(origin.address, 0) + origin.requests
        return found

    def _retire_others(self, keys: list[_Key]) -> None:
        for key in keys:
            self._leave(self._forget(key))

    def _forget(self, key: _Key) -> Origin:
        origin = self._others.pop(key)
        beside = self._beside[key[0]]
        beside.remove(origin)
        if not beside:
            del self._beside[key[0]]
        return origin

    def _leave(self, origin: Origin) -> None:
        origin.leave()
        self._leaving.append(origin)
