"""Which loopback address stands for which service: a client that is given an address says no name.

The addresses are 127.64.0.0/10, four million that no machine uses for anything else. Each service has the one that its name leads
to, so that it is the same after a restart: applications keep lists.
"""

from __future__ import annotations

import hashlib
from ipaddress import IPv4Address
from typing import Final

FIRST: Final = int(IPv4Address("127.64.0.0"))
COUNT: Final = 1 << 22
MOST: Final = 5_000
"""Services that have an address: an application may ask for any name, and each takes a socket."""


class Addresses:
    """Gives each service its own address."""

    def __init__(self) -> None:
        self._by_service: dict[str, str] = {}
        self._taken: set[str] = set()

    def of(self, service: str) -> str | None:
        """The service's address, None where too many have one."""
        known = self._by_service.get(service)
        if known is not None or len(self._by_service) >= MOST:
            return known
        place = int.from_bytes(hashlib.sha256(service.encode()).digest()[:4])
        while True:
            address = str(IPv4Address(FIRST + 1 + place % (COUNT - 2)))
            if address not in self._taken:
                break
            place += 1
        self._taken.add(address)
        self._by_service[service] = address
        return address
