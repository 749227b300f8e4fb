"""A connection that has just been opened: who is at its other end, and whether there is room for one more."""

from __future__ import annotations

from gateway.errors import ProtocolError
from gateway.failures import OVERLOADED, TOO_MANY_CONNECTIONS
from gateway.proxy.client import ClientConnection
from gateway.proxy.connection import HIGH_WATER
from gateway.proxy.descriptors import RESERVE, is_short


class Refused:
    """There is no room. `at_once`: what lingers would take the descriptor that is missing."""

    __slots__ = ("at_once", "error")

    def __init__(self, error: ProtocolError, at_once: bool = False) -> None:
        self.error = error
        self.at_once = at_once


def admit(connection: ClientConnection) -> Refused | None:
    """Takes a connection in, with its peer; returns why it must go, if it must."""
    context = connection.context
    transport = connection.transport
    assert transport is not None
    if connection.is_encrypted:
        transport.set_write_buffer_limits(high=HIGH_WATER)
    connection.meet(transport)
    ip, trusted = connection.peer.ip, connection.peer.is_trusted
    mine = connection.clients.enter(connection, ip)
    context.traffic.connections += 1
    limits = context.limits
    if not trusted and mine > limits.connections_per_client:
        most = limits.connections_per_client
        return Refused(ProtocolError(TOO_MANY_CONNECTIONS, f"{ip} has more than {most} connections open"))
    if len(connection.clients.connections) > limits.connections:
        return Refused(ProtocolError(OVERLOADED, f"more than {limits.connections} connections are open"))
    if is_short(transport, RESERVE):
        return Refused(ProtocolError(OVERLOADED, "this gateway can open no more connections"), at_once=True)
    return None
