"""The PROXY protocol (https://www.haproxy.org/download/3.0/doc/proxy-protocol.txt): every header, whole, in pieces, and spoilt."""

from __future__ import annotations

from ipaddress import ip_address

import pytest

from gateway.http.proxyheader import LOCAL, MAX_BYTES, SIGNATURE, read_proxy_header


def block(source: str, target: str, *, kind: int = 0x21, family: int | None = None, extra: bytes = b"") -> bytes:
    """A header of version 2."""
    packed = ip_address(source).packed + ip_address(target).packed + b"\x11\x5c\x01\xbb" + extra
    usual = 0x11 if "." in source else 0x21
    return SIGNATURE + bytes([kind, usual if family is None else family]) + len(packed).to_bytes(2, "big") + packed


GOOD = [
    pytest.param(b"PROXY TCP4 192.0.2.1 198.51.100.1 4444 443\r\n", "192.0.2.1", id="v1, IPv4"),
    pytest.param(b"PROXY TCP6 2001:DB8::1 ::1 4444 443\r\n", "2001:db8::1", id="v1, IPv6"),
    pytest.param(b"PROXY UNKNOWN\r\n", LOCAL, id="v1, unknown"),
    pytest.param(b"PROXY UNKNOWN ffff:f...f:ffff ffff 65535 65535\r\n", LOCAL, id="v1, unknown with whatever"),
    pytest.param(block("192.0.2.1", "198.51.100.1"), "192.0.2.1", id="v2, IPv4"),
    pytest.param(block("2001:db8::1", "::1"), "2001:db8::1", id="v2, IPv6"),
    pytest.param(block("192.0.2.1", "198.51.100.1", extra=b"\x03\0\x04abcd" * 9), "192.0.2.1", id="v2, with TLVs"),
    pytest.param(block("192.0.2.1", "198.51.100.1", kind=0x20), LOCAL, id="v2, a health check"),
    pytest.param(SIGNATURE + b"\x20\x00\x00\x00", LOCAL, id="v2, a health check without addresses"),
    pytest.param(block("192.0.2.1", "198.51.100.1", family=0), LOCAL, id="v2, of no family"),
]


@pytest.mark.parametrize(("header", "client"), GOOD)
def test_a_header_is_read_and_nothing_after_it(header: bytes, client: str) -> None:
    assert read_proxy_header(header + b"GET / HTTP/1.1\r\n\r\n") == (len(header), client)


@pytest.mark.parametrize(("header", "client"), GOOD)
def test_any_part_of_one_may_become_one(header: bytes, client: str) -> None:
    assert [read_proxy_header(header[:size]) for size in range(len(header))] == [None] * len(header)


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\n",
        b"\x16\x03\x01",
        b"proxy TCP4 192.0.2.1 198.51.100.1 1 2\r\n",
        b"PROXY\tTCP4 192.0.2.1 198.51.100.1 1 2\r\n",
        b"PROXY TCP4  192.0.2.1 198.51.100.1 1 2\r\n",
        b"PROXY TCP4 192.0.2.1 198.51.100.1 1 2 \r\n",
        b"PROXY TCP4 192.0.2.1 198.51.100.1 1\r\n",
        b"PROXY TCP4 192.0.2.1 198.51.100.1 1 65536\r\n",
        b"PROXY TCP4 192.0.2.1 198.51.100.1 01 2\r\n",
        b"PROXY TCP4 192.0.2.256 198.51.100.1 1 2\r\n",
        b"PROXY TCP4 192.0.2.1 198.51.100 1 2\r\n",
        b"PROXY TCP4 ::1 ::1 1 2\r\n",
        b"PROXY TCP6 192.0.2.1 192.0.2.1 1 2\r\n",
        b"PROXY UDP4 192.0.2.1 198.51.100.1 1 2\r\n",
        b"PROXY UNKNOWNX\r\n",
        b"PROXY TCP4 192.0.2.1 198.51.100.1 1 2\n",
        b"PROXY UNKNOWN " + b"x" * 100 + b"\r\n",
        SIGNATURE[:-1] + b"\r\x21\x11\0\x0c" + bytes(12),
        SIGNATURE + b"\x11\x11\0\x0c" + bytes(12),
        SIGNATURE + b"\x22\x11\0\x0c" + bytes(12),
        SIGNATURE + b"\x21\x12\0\x0c" + bytes(12),
        SIGNATURE + b"\x21\x31\0\xd8" + bytes(216),
        SIGNATURE + b"\x21\x11\0\x0b" + bytes(11),
        SIGNATURE + b"\x21\x21\0\x0c" + bytes(12),
        SIGNATURE + b"\x21\x11" + (MAX_BYTES - 15).to_bytes(2, "big"),
    ],
)
def test_anything_else_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match="header"):
        read_proxy_header(data)
