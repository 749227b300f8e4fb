"""TCP keep-alive: a peer that has vanished without a word is noticed by the kernel, also where no timeout passes."""

from __future__ import annotations

import socket
from asyncio.trsock import TransportSocket
from typing import Final

IDLE: Final = 60
"""Seconds of silence after which a peer is asked whether it is there."""
INTERVAL: Final = 15
"""Seconds between two questions."""
QUESTIONS: Final = 4
"""How many stay without an answer before the connection is lost."""


def watch_peer(sock: socket.socket | TransportSocket) -> None:
    """Has the kernel watch the peer of a connection, or the peers of those that a listening socket accepts (Linux)."""
    if sock.family == socket.AF_UNIX:
        return
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, IDLE)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, INTERVAL)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, QUESTIONS)
