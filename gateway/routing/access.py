"""Which clients a route serves, by their addresses."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv4Network, IPv6Network, ip_address
from typing import Final

MAX_KNOWN: Final = 4096
"""Addresses of which it is remembered whether they are served."""


class AccessList:
    """Networks that are refused, and networks that are served. Without the latter, all others are; refusals go first."""

    __slots__ = ("_allow", "_deny", "_known")

    def __init__(
        self, allow: Sequence[IPv4Network | IPv6Network] = (), deny: Sequence[IPv4Network | IPv6Network] = ()
    ) -> None:
        self._allow = tuple(allow)
        self._deny = tuple(deny)
        self._known: dict[str, bool] = {}

    def serves(self, ip: str) -> bool:
        """Whether a client with this address is served. What is no address is served only if there is no list to be on."""
        known = self._known.get(ip)
        if known is None:
            if len(self._known) >= MAX_KNOWN:
                self._known.clear()
            known = self._known[ip] = self._judge(ip)
        return known

    def _judge(self, ip: str) -> bool:
        try:
            address = ip_address(ip.partition("%")[0])
        except ValueError:
            return not self._allow
        if any(address in network for network in self._deny):
            return False
        return not self._allow or any(address in network for network in self._allow)
