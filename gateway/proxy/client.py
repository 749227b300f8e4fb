"""A client's connection as an exchange sees it, and the clients of one listener.

HTTP/1 (`downstream`) is one implementation: what is said here of a connection can be said of a stream.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from gateway.failures import OVERLOADED, TOO_MANY_TUNNELS, Failure
from gateway.http.address import plain_ip
from gateway.proxy.connection import Connection
from gateway.proxy.context import Context, Limits
from gateway.routing.peer import Peer, callee_at


class ClientConnection(Connection):
    """The client's side. `deadline` (the loop's clock) is looked at by the listener's tick; every wait sets it.

    `quiet_since` is since when no request has been under way.
    """

    __slots__ = ("clients", "context", "deadline", "peer", "quiet_since")

    def __init__(self, context: Context, clients: Clients) -> None:
        super().__init__(context.outbox, context.queue)
        self.context = context
        self.clients = clients
        self.peer: Peer = Peer("")
        self.deadline: float = context.now + context.timeouts.head
        self.quiet_since: float = context.now

    def meet(self, transport: asyncio.Transport) -> None:
        """Notes who is at the other end of a connection that has opened."""
        context = self.context
        name = transport.get_extra_info("peername")
        ip = plain_ip(name[0]) if isinstance(name, tuple) else ""
        callee = callee_at(context.doors, transport.get_extra_info("sockname"))
        self.peer = Peer(ip, context.router.is_trusted(ip), context.scheme, callee)
        if context.reception is not None:
            context.reception.introduce(self.peer, transport.get_extra_info("ssl_object"))

    # --- what an exchange needs

    def exchange_ended(self, keeps: bool) -> None:
        """The response is written; `keeps`: the connection can take another request."""
        raise NotImplementedError

    def tunnel_opened(self) -> None:
        """The exchange has become a tunnel: it is the client's own now."""
        raise NotImplementedError

    def tunnel_ended(self, may_send_more: bool) -> None:
        """The tunnel is closed at its other end. `may_send_more`: the client has not said that it sends no more."""
        raise NotImplementedError

    # --- what the listener needs

    def deadline_passed(self) -> None:
        """A wait took too long."""
        raise NotImplementedError

    def close_if_idle(self) -> None:
        """Closes a connection that has nothing under way."""
        raise NotImplementedError


class Clients:
    """The live sets of one listener: connections, by address too, tunnels by address, and tasks of the slow path.

    `arriving` are connections that are accepted and not open yet: their first callback, or their handshake, is still to come.
    `tunnels` counts those that are open or requested.
    """

    __slots__ = ("arriving", "by_ip", "connections", "tasks", "tunnels", "tunnels_by_ip")

    def __init__(self) -> None:
        self.arriving: set[ClientConnection] = set()
        self.connections: set[ClientConnection] = set()
        self.by_ip: dict[str, int] = {}
        self.tasks: set[asyncio.Task[None]] = set()
        self.tunnels: int = 0
        self.tunnels_by_ip: dict[str, int] = {}

    def enter(self, connection: ClientConnection, ip: str) -> int:
        """Takes in a connection; returns how many this address has now."""
        self.arriving.discard(connection)
        self.connections.add(connection)
        self.by_ip[ip] = mine = self.by_ip.get(ip, 0) + 1
        return mine

    def leave(self, connection: ClientConnection, ip: str) -> None:
        """Takes out a connection."""
        self.connections.discard(connection)
        _take_one(self.by_ip, ip)

    def claim_tunnel(self, peer: Peer, limits: Limits) -> tuple[Failure, str] | None:
        """Claims one of the tunnels that there may be, before the request for it is sent; give it back when that is over.

        Returns why not, and a sentence, if there is none left.
        """
        if self.tunnels >= limits.tunnels:
            return OVERLOADED, f"{limits.tunnels} tunnels are already open or requested"
        mine = self.tunnels_by_ip.get(peer.ip, 0)
        if mine >= limits.tunnels_per_client and not peer.is_trusted:
            return TOO_MANY_TUNNELS, f"{peer.ip} has {limits.tunnels_per_client} tunnels already open or requested"
        self.tunnels += 1
        self.tunnels_by_ip[peer.ip] = mine + 1
        return None

    def give_back_tunnel(self, peer: Peer) -> None:
        """Gives back what was claimed."""
        self.tunnels -= 1
        _take_one(self.tunnels_by_ip, peer.ip)

    def spawn(self, work: Coroutine[Any, Any, None], caught: Callable[[Exception], None]) -> None:
        """Runs the slow path of an exchange; the set keeps the task alive until it is done. `caught` takes what it raises."""
        task = asyncio.get_running_loop().create_task(work)
        self.tasks.add(task)
        task.add_done_callback(lambda task: self._done(task, caught))

    def _done(self, task: asyncio.Task[None], caught: Callable[[Exception], None]) -> None:
        self.tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        if isinstance(error, Exception):
            caught(error)


def _take_one(counts: dict[str, int], ip: str) -> None:
    left = counts[ip] - 1
    if left:
        counts[ip] = left
    else:
        del counts[ip]
