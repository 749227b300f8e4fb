"""Who an exchange responds to: a client's connection (HTTP/1, `downstream`) or a stream of one (HTTP/2, `client_stream`).

With them, the clients of one listener.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Final

from gateway.failures import OVERLOADED, TOO_MANY_TUNNELS, Failure
from gateway.http.address import plain_ip
from gateway.http.request import Request
from gateway.proxy.bounds import Limits
from gateway.proxy.connection import Connection
from gateway.proxy.context import Context
from gateway.proxy.record import Record
from gateway.proxy.relay import Relay
from gateway.proxy.request_body import RequestBody
from gateway.routing.peer import Peer, callee_at
from gateway.routing.verdict import Forward

LINGER: Final = 2.0
"""Seconds that a connection to be closed keeps reading what it will not use. Closing earlier would meet that data
with a reset, which can destroy the response before the client has read it (RFC 9112 §9.6)."""


_UNKNOWN: Final = Peer("")
"""Who is at the other end of a connection that has not opened."""


# More public members than most: it is the seam, and each member is something that an exchange does to its client.
class Client(Connection):
    """The client's side of an exchange. `deadline` (the loop's clock) is until when something must happen; every wait sets it.

    `proxied_ip` is the client's address as a load balancer has said it in front of the connection, empty if none has.

    Heads and bodies are as HTTP/1.1 has them, whatever the client speaks. `write` passes on the bytes of a tunnel.
    """

    __slots__ = ("clients", "context", "deadline", "peer", "proxied_ip")

    def __init__(self, context: Context, clients: Clients) -> None:
        super().__init__(context.outbox, context.queue)
        self.context = context
        self.clients = clients
        self.peer: Peer = _UNKNOWN
        self.proxied_ip: str = ""
        self.deadline: float = context.now + context.timeouts.head

    def meet(self, transport: asyncio.Transport) -> None:
        """Notes who is at the other end of a connection that has opened."""
        context = self.context
        name = transport.get_extra_info("peername")
        ip = self.proxied_ip or (plain_ip(name[0]) if isinstance(name, tuple) else "")
        callee = callee_at(context.doors, transport.get_extra_info("sockname"))
        self.peer = Peer(ip, context.router.is_trusted(ip), context.scheme, callee)
        if context.reception is not None:
            context.reception.introduce(self.peer, transport.get_extra_info("ssl_object"))

    def request_body(self, request: Request) -> RequestBody:
        """The body of a request that has one."""
        raise NotImplementedError

    def relay(self, record: Record, forward: Forward) -> Relay:
        """What passes the response of an instance that speaks HTTP/1 on to this client."""
        raise NotImplementedError

    def respond(self, message: bytes) -> None:
        """Sends a response of this program's own, all of it: head and body."""
        raise NotImplementedError

    def send_interim(self, head: bytes) -> None:
        """Sends the head of an interim response (1xx)."""
        raise NotImplementedError

    def send_head(self, head: bytes, ends: bool) -> None:
        """Sends the head of the final response, less what is said of a connection. `ends`: there is no body."""
        raise NotImplementedError

    def send_data(self, data: bytes, ends: bool) -> None:
        """Sends some of the body. `ends`: it is the last."""
        raise NotImplementedError

    def send_trailers(self, lines: bytes) -> None:
        """Ends the body, with trailers: field lines, each led by CRLF."""
        raise NotImplementedError

    def exchange_ended(self, keeps: bool) -> None:
        """The response is written; `keeps`: the connection can take another request."""
        raise NotImplementedError

    def tunnel_opened(self) -> None:
        """The exchange has become a tunnel: it is the client's own now."""
        raise NotImplementedError

    def tunnel_ended(self, may_send_more: bool) -> None:
        """The tunnel is closed at its other end. `may_send_more`: the client has not said that it sends no more."""
        raise NotImplementedError


class ClientConnection(Client):
    """A connection as its listener sees it: the listener's tick looks at `deadline`.

    `quiet_since` is since when no request has been under way. `is_closing`: nothing more is served.
    """

    __slots__ = ("is_closing", "quiet_since")

    def __init__(self, context: Context, clients: Clients) -> None:
        super().__init__(context, clients)
        self.quiet_since: float = context.now
        self.is_closing: bool = False

    def records(self) -> list[Record]:
        """What is noted so far of the requests under way."""
        raise NotImplementedError

    def deadline_passed(self) -> None:
        """A wait took too long."""
        raise NotImplementedError

    def close_if_idle(self) -> None:
        """Closes a connection that has nothing under way."""
        raise NotImplementedError

    def close_gently(self, may_send_more: bool = True) -> None:
        """Closes when all is sent; a client that may still be sending is read from for a while first."""
        self.is_closing = True
        self.flush()
        transport = self.transport
        if transport is None:
            return
        lingers = may_send_more and transport.can_write_eof()
        if lingers:
            transport.write_eof()
            self.resume_reading()
        else:
            transport.close()
        waits = not lingers or transport.get_write_buffer_size() > 0
        self.deadline = self.context.now + (self.context.timeouts.body_idle if waits else LINGER)
        self.watch()

    def is_taken(self) -> bool:
        """Whether something waits for the client, and it takes that fast enough."""
        if self.transport is None or not self.transport.get_write_buffer_size():
            return False
        context = self.context
        return self.has_taken(context.timeouts.due(context.limits.body_rate))


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

    def spawn(self, work: Coroutine[Any, Any, None], caught: Callable[[Exception], None]) -> asyncio.Task[None]:
        """Runs the slow path of an exchange; the set keeps the task alive until it is done. `caught` takes what it raises."""
        task = asyncio.get_running_loop().create_task(work)
        self.tasks.add(task)
        task.add_done_callback(lambda task: self._done(task, caught))
        return task

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
