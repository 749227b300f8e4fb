"""Free ports, each given away once."""

from __future__ import annotations

import errno
import fcntl
import os
import random
import socket
import tempfile
from functools import cache
from pathlib import Path
from typing import Final

BESIDE: Final = 1000
"""How far the port for gRPC is from that for HTTP, of a registry that Nacos' clients are to find."""
_given: set[int] = set()


def free_port() -> int:
    """A port that is free now on loopback, and was given neither before nor by another process of this user that still runs.

    Below the range from which the kernel takes ports for outgoing connections (Linux: 32768 and up): one of those could be
    taken by any connection before the program that it is meant for listens on it. The port 1000 above, which is the one for
    gRPC should that program be a registry, is free too, and given to nobody: it is in a thousand of an odd number.
    """
    while True:
        port = random.randrange(20_000, 32_000, 2000) + random.randrange(1000)
        if port in _given or not _claim(port):
            continue
        if _is_free(port) and _is_free(port + BESIDE):
            _given.add(port)
            return port


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _claim(port: int) -> bool:
    """Whether this process, and no other one, gives this port away from now on: a lock on the byte of that number."""
    try:
        fcntl.lockf(_claims(), fcntl.LOCK_EX | fcntl.LOCK_NB, 1, port)
    except OSError as error:
        return error.errno not in (errno.EACCES, errno.EAGAIN)  # a file system without locks: as good as it gets
    return True


@cache
def _claims() -> int:
    """The file of the locks. They go with the process, or if it is opened and closed again: it stays open."""
    path = Path(tempfile.gettempdir()) / f"gray-gateway-ports-{os.getuid()}"
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
