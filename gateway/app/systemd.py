"""What systemd gives a service, and what it expects to be sent: sockets (sd_listen_fds(3)) and states (sd_notify(3)).

The two protocols are a few environment variables and datagrams; other supervisors speak them too.
"""

from __future__ import annotations

import os
import socket
from typing import Final

from gateway.errors import StartError

FIRST: Final = 3
"""The number of the first descriptor that is handed over (SD_LISTEN_FDS_START)."""


def inherited_sockets() -> dict[str, list[socket.socket]]:
    """The listening sockets that this process was started with, by their names; none if it was started without.

    Raises StartError for one that is not a listening TCP socket. Processes that this one starts do not get them.
    """
    pid = os.environ.pop("LISTEN_PID", "")
    count = os.environ.pop("LISTEN_FDS", "")
    names = os.environ.pop("LISTEN_FDNAMES", "").split(":")
    if pid != str(os.getpid()) or not count.isdigit():
        return {}
    found: dict[str, list[socket.socket]] = {}
    try:
        for index in range(int(count)):
            name = (names[index] if index < len(names) else "") or "unknown"
            found.setdefault(name, []).append(_listening(FIRST + index, name))
    except StartError:
        for sockets in found.values():
            for sock in sockets:
                sock.close()
        raise
    return found


def _listening(descriptor: int, name: str) -> socket.socket:
    try:
        sock = socket.socket(fileno=descriptor)
        is_listening = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
    except OSError as error:
        raise StartError(f"descriptor {descriptor} ({name}) of LISTEN_FDS is not a socket: {error.strerror}") from error
    if not is_listening or sock.family not in (socket.AF_INET, socket.AF_INET6):
        sock.close()
        raise StartError(f"descriptor {descriptor} ({name}) of LISTEN_FDS is not a listening TCP socket")
    sock.set_inheritable(False)
    sock.setblocking(False)
    return sock


def notify(*states: str) -> None:
    """Reports a state to the supervisor (`READY=1`) and what belongs to it, if there is one that wants to know."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return
    if address.startswith("@"):
        address = "\0" + address[1:]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.setblocking(False)
        try:
            sock.sendto("\n".join(states).encode(), address)
        except OSError:
            return  # nobody is listening


def watchdog_interval() -> float:
    """Seconds between two signs of life that the supervisor waits for (`WATCHDOG_USEC`), half of what it allows; 0: none."""
    microseconds = os.environ.get("WATCHDOG_USEC", "")
    pid = os.environ.get("WATCHDOG_PID", "")
    if not microseconds.isdigit() or (pid and pid != str(os.getpid())):
        return 0.0
    return int(microseconds) / 2e6
