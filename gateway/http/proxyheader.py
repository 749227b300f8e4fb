"""The header by which a load balancer says whose connection it passes on: the PROXY protocol, versions 1 and 2.

https://www.haproxy.org/download/3.0/doc/proxy-protocol.txt
"""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv6Address
from typing import Final

SIGNATURE: Final = b"\r\n\r\n\x00\r\nQUIT\n"
"""How a header of version 2 begins."""
MAX_LINE: Final = 107
"""Bytes of the longest header of version 1, with its line end."""
MAX_BYTES: Final = 4096
"""Bytes of the longest header of version 2 that is taken, with whatever a load balancer adds to the addresses."""
LOCAL: Final = ""
"""The address of who speaks for itself: a health check."""

_PREFIX: Final = b"PROXY "
_LINE: Final = re.compile(
    rb"PROXY (?:TCP4 ([0-9.]{7,15}) ([0-9.]{7,15})|TCP6 ([0-9A-Fa-f:.]{2,39}) ([0-9A-Fa-f:.]{2,39})) "
    rb"(0|[1-9][0-9]{0,4}) (0|[1-9][0-9]{0,4})"
)


def read_proxy_header(data: bytes) -> tuple[int, str] | None:
    """Where a header at the start of `data` ends, and the client's address, or `LOCAL`; None: there is more of it to come.

    Raises ValueError for anything else: nothing is guessed.
    """
    if data[: len(_PREFIX)] == _PREFIX[: len(data)]:
        return _read_line(data)
    if data[: len(SIGNATURE)] == SIGNATURE[: len(data)]:
        return _read_block(data)
    raise ValueError("it does not begin with a header of the PROXY protocol")


def _read_line(data: bytes) -> tuple[int, str] | None:
    end = data.find(b"\r\n", 0, MAX_LINE)
    if end < 0:
        if len(data) >= MAX_LINE:
            raise ValueError(f"its header is longer than {MAX_LINE} bytes")
        if b"\n" in data:
            raise ValueError("its header does not end with CRLF")
        return None
    line = data[:end]
    if line == b"PROXY UNKNOWN" or line.startswith(b"PROXY UNKNOWN "):
        return end + 2, LOCAL
    match = _LINE.fullmatch(line)
    if match is None or int(match[5]) > 65535 or int(match[6]) > 65535:
        raise ValueError("its header is malformed")
    try:
        if match[1] is not None:
            IPv4Address(match[2].decode("ascii"))
            source = str(IPv4Address(match[1].decode("ascii")))
        else:
            IPv6Address(match[4].decode("ascii"))
            source = str(IPv6Address(match[3].decode("ascii")))
    except ValueError as error:
        raise ValueError("its header has an address that is none") from error
    return end + 2, source


def _read_block(data: bytes) -> tuple[int, str] | None:
    if len(data) < 16:
        return None
    kind, family = data[12], data[13]
    end = 16 + int.from_bytes(data[14:16], "big")
    if kind not in (0x20, 0x21):
        raise ValueError("its header has a version or a command that does not exist")
    if end > MAX_BYTES:
        raise ValueError(f"its header is longer than {MAX_BYTES} bytes")
    if len(data) < end:
        return None
    if kind == 0x20 or family == 0x00:
        return end, LOCAL
    if family == 0x11 and end >= 28:
        return end, str(IPv4Address(data[16:20]))
    if family == 0x21 and end >= 52:
        return end, str(IPv6Address(data[16:32]))
    raise ValueError("its header is of a transport that is not TCP, or has no addresses")
