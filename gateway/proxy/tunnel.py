"""A tunnel: what two connections are after the instance has switched protocols (RFC 9110 §7.8), bytes both ways.

Whoever does not read stops the other. A side that ends (half-close) is passed on behind what it had sent, and the other one
goes on; a side that is lost still has what it had sent delivered.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gateway.proxy.context import Context
    from gateway.proxy.exchange import Exchange
    from gateway.proxy.upstream import Upstream
    from gateway.routing.plan import Peer


def claim_tunnel(context: Context, peer: Peer) -> tuple[int, str, str] | None:
    """Claims one of the tunnels that there may be, before the request for it is sent; give it back when that is over.

    Returns status, code and text of the refusal where there is none left.
    """
    limits = context.limits
    if context.tunnels >= limits.tunnels:
        return 503, "overloaded", f"{limits.tunnels} tunnels are open or asked for already"
    mine = context.tunnels_by_client.get(peer.ip, 0)
    if mine >= limits.tunnels_per_client and not peer.is_trusted:
        most = limits.tunnels_per_client
        return 429, "too_many_tunnels", f"{peer.ip} has {most} tunnels open or asked for already"
    context.tunnels += 1
    context.tunnels_by_client[peer.ip] = mine + 1
    return None


def give_back(context: Context, peer: Peer) -> None:
    """Gives back what was claimed."""
    context.tunnels -= 1
    left = context.tunnels_by_client[peer.ip] - 1
    if left:
        context.tunnels_by_client[peer.ip] = left
    else:
        del context.tunnels_by_client[peer.ip]


class Tunnel:
    """The tunnel that an exchange has become. It takes what both connections say from then on.

    `received` counts the bytes that the client sent.
    """

    __slots__ = ("_client_ended", "_exchange", "_instance_ended", "_upstream", "received")

    def __init__(self, exchange: Exchange, upstream: Upstream) -> None:
        self._exchange = exchange
        self._upstream = upstream
        self.received: int = 0
        self._client_ended: bool = False
        self._instance_ended: bool = False
        upstream.origin.detach(upstream)

    @property
    def is_blocked(self) -> bool:
        """Whether the instance does not take what the client sends."""
        return self._upstream.writes_paused

    def client_sent(self, data: bytes) -> None:
        """Passes on what the client sent."""
        self.received += len(data)
        self._upstream.write(data)
        self.expect()

    def instance_sent(self, data: bytes) -> None:
        """Passes on what the instance sent."""
        exchange = self._exchange
        exchange.sent += len(data)
        exchange.downstream.write(data)
        self.expect()

    def expect(self) -> None:
        """Sets until when something must move: long where nobody has anything to say, soon where somebody does not read."""
        exchange = self._exchange
        context = exchange.context
        if not self._upstream.writes_paused and not exchange.downstream.writes_paused:
            exchange.downstream.deadline = context.now + context.timeouts.tunnel_idle

    def stalled(self) -> None:
        """Somebody does not read."""
        context = self._exchange.context
        self._exchange.downstream.deadline = context.now + context.timeouts.body_idle

    def client_ended(self) -> bool:
        """The client sends no more; returns whether its connection stays open for what the instance still sends."""
        self._client_ended = True
        if not self._upstream.end_writing():
            # TLS cannot be closed halfway: the instance has what was sent, and that was all.
            self._upstream.close_when_sent(self._exchange.context.timeouts.body_idle)
            return False
        return not self._instance_ended and not self._exchange.downstream.is_encrypted

    def instance_ended(self) -> bool:
        """The instance sends no more; returns whether its connection stays open for what the client still sends."""
        self._instance_ended = True
        if self._client_ended or self._upstream.is_encrypted or not self._exchange.downstream.end_writing():
            self.instance_lost()
            return False
        return True

    def client_lost(self) -> None:
        """The client is gone. The instance has what it had sent."""
        self._upstream.close_when_sent(self._exchange.context.timeouts.body_idle)

    def instance_lost(self) -> None:
        """The instance is gone. The client has what it had sent."""
        exchange = self._exchange
        self._upstream.close_when_sent(exchange.context.timeouts.body_idle)
        exchange.tunnel_ended(not self._client_ended)
