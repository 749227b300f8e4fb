"""The names by which a listener may be called.

A page of `evil.example` whose DNS says 127.0.0.1 the second time is of the same origin as whatever listens there, to its
browser (DNS rebinding). What it cannot do is to send another Host than its own. So a Host counts that no stranger can have:

* an IP address, which nobody can rebind;
* `localhost` and what is below it (RFC 6761 §6.3), the host that is listened on, and this machine's own name;
* if others than this machine can connect, a name without a dot: containers call one another so (`registry:8848`), and
  no such name is sold;
* what the operator allows, `*.example.com` for everything below a name.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Collection
from ipaddress import ip_address

_BARE = re.compile(r"[0-9a-z_-]+")


class OwnNames:
    """The names of a listener on `listen`, an address or a name; `allowed` are the operator's."""

    def __init__(self, listen: str, allowed: Collection[str] = ()) -> None:
        self._names = {"localhost", listen.lower(), socket.gethostname().lower()}
        self._names.update(name.lower() for name in allowed if not name.startswith("*."))
        self._suffixes = (".localhost", *(name[1:].lower() for name in allowed if name.startswith("*.")))
        self._takes_bare = not _is_loopback(listen)

    def includes(self, host: str) -> bool:
        """Whether a Host field (`name`, `name:port`, `[::1]:port`) names this listener."""
        name = _without_port(host).lower()
        if name.startswith("[") and name.endswith("]"):
            return _is_address(name[1:-1]) and ":" in name
        name = name.removesuffix(".")
        if not name or name.endswith("."):
            return False
        if name in self._names or name.endswith(self._suffixes) or _is_address(name):
            return True
        return self._takes_bare and _BARE.fullmatch(name) is not None


def _without_port(host: str) -> str:
    name, colon, port = host.rpartition(":")
    return name if colon and port.isascii() and port.isdigit() else host


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return "%" not in text  # a zone may be anything, and no URL has one in its Host


def _is_loopback(listen: str) -> bool:
    try:
        return ip_address(listen).is_loopback
    except ValueError:
        return listen.lower() == "localhost"
