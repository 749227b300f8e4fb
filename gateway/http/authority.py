"""Whom a request is for: the authority in its Host field or its target (RFC 9110 §7.2, RFC 3986 §3.2.2)."""

from __future__ import annotations

import re
from ipaddress import IPv6Address
from typing import Final

from gateway.errors import ProtocolError
from gateway.failures import BAD_HOST

MAX_PORT: Final = 65535

_AUTHORITY: Final = re.compile(rb"(\[[0-9A-Fa-f:.]++\]|[0-9A-Za-z_~\-]++(?:\.[0-9A-Za-z_~\-]++)*+\.?)(?::([0-9]*+))?")


def host_of(authority: bytes) -> str:
    """The host of an authority, lower-case, without its port and without the dot that may end a name: `shop.example`.

    Raises ProtocolError (400) for what is none: hosts are names of letters, digits, `-`, `_` and `~` with single dots
    between, or addresses, those of IPv6 in brackets.
    """
    match = _AUTHORITY.fullmatch(authority)
    if match is None:
        raise _refused()
    host: bytes = match[1]
    port: bytes | None = match[2]
    # RFC 3986 §3.2.3: a port may be empty.
    if port and (len(port) > 5 or int(port) > MAX_PORT):
        raise ProtocolError(BAD_HOST, f"the host's port is more than {MAX_PORT}")
    name = host.decode("ascii").lower()
    if name[0] == "[":
        try:
            IPv6Address(name[1:-1])
        except ValueError:
            raise _refused() from None
        return name
    # `shop.example.` and `shop.example` are one name: the former says that it is not to be completed (RFC 1034 §3.1).
    return name[:-1] if name[-1] == "." else name


def _refused() -> ProtocolError:
    return ProtocolError(BAD_HOST, "the host is not `name`, `name:port`, or an IPv6 address in brackets")
