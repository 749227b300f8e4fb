"""Authorities: what is a host, and what it is called."""

from __future__ import annotations

import pytest

from gateway.errors import ProtocolError
from gateway.http.authority import host_of


@pytest.mark.parametrize(
    ("authority", "host"),
    [
        (b"shop.example", "shop.example"),
        (b"Shop.EXAMPLE:8080", "shop.example"),
        (b"shop.example.", "shop.example"),
        (b"shop.example.:443", "shop.example"),
        (b"shop.example:", "shop.example"),
        (b"shop.example:00080", "shop.example"),
        (b"spring_cloud-b~1", "spring_cloud-b~1"),
        (b"192.0.2.1:80", "192.0.2.1"),
        (b"[2001:DB8::1]:80", "[2001:db8::1]"),
        (b"[::]", "[::]"),
    ],
)
def test_a_host_has_one_name(authority: bytes, host: str) -> None:
    assert host_of(authority) == host


@pytest.mark.parametrize(
    "authority",
    [
        b"", b".", b"..", b"a..b", b".a", b"a..", b":80", b"a:b", b"a:80:80", b"a:65536", b"a:000080", b"a:999999", b"u@a", b"a/b",
        b"a b", b"a,b", b"a%2e", b"\xc3\xa4", b"[::1", b"::1", b"[::1]x", b"[:::]", b"[1.2.3.4]", b"[]", b"[fe80::1%25eth0]",
    ],
)  # fmt: skip
def test_what_is_no_host_is_refused(authority: bytes) -> None:
    with pytest.raises(ProtocolError) as error:
        host_of(authority)
    assert (error.value.failure.status, error.value.failure.code) == (400, "bad_host")
