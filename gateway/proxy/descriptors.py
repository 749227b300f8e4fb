"""File descriptors: every connection has one, and some are kept back for what must keep running when they run short.

The kernel gives the lowest free number. So a connection's own number says how many are in use at least, and nothing needs to be
counted.
"""

from __future__ import annotations

import errno
import logging
import os
import resource
import sys
import time
from asyncio import Transport
from typing import Final

_log = logging.getLogger("gateway.proxy")

RESERVE: Final = 64
"""Kept back from clients: for the admin API, registries and files. Half of them connections to instances may have."""
INTERVAL: Final = 10.0
"""Seconds between two records that they have run short."""

OUT_OF_THEM: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
"""Errors of connecting that say something of this machine, and nothing of the instance."""

_told_at: float = -INTERVAL


def limit() -> int:
    """How many this process may have: its soft limit."""
    soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return sys.maxsize if soft == resource.RLIM_INFINITY else soft


def warn_of_shortage(connections: int, in_flight: int) -> None:
    """Says so where the limit leaves no room for as many connections as the settings allow."""
    needed = connections + in_flight + RESERVE
    most = limit()
    if needed > most:
        _log.warning(
            "limits.connections (%d) and limits.in_flight (%d) need %d file descriptors, and this process may have %d: beyond"
            " %d connections clients get 503; raise the limit (ulimit -n, LimitNOFILE=), or lower the settings",
            connections, in_flight, needed, most, most - RESERVE,
        )  # fmt: skip


def is_short(transport: Transport, reserve: int) -> bool:
    """Whether a new connection has taken one of the last `reserve` descriptors; that is logged now and then."""
    sock = transport.get_extra_info("socket")
    if sock is None or sock.fileno() < limit() - reserve:
        return False
    tell()
    return True


def look() -> None:
    """Warns if they have run short for whatever reason: also connections whose TLS handshake is under way have some."""
    try:
        number = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        tell()
        return
    os.close(number)
    if number >= limit() - RESERVE:
        tell()


def tell() -> None:
    """Logs that they have run short, unless that was logged a moment ago."""
    global _told_at  # noqa: PLW0603 - there is one table of descriptors in a process
    now = time.monotonic()
    if now - _told_at >= INTERVAL:
        _told_at = now
        _log.error("file descriptors have run short (the limit is %d): new connections are refused", limit())
