"""Addresses: one spelling each, and what the entries of a forwarding chain are read as."""

from __future__ import annotations

import pytest

from gateway.http.address import node_ip, plain_ip


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("::FFFF:c000:0201", "192.0.2.1"),
        ("0:0:0:0:0:ffff:127.0.0.1", "127.0.0.1"),
        ("2001:DB8:0:0::1", "2001:db8::1"),
        ("fe80::1%eth0", "fe80::1"),
        ("::1", "::1"),
        ("::192.0.2.1", "::c000:201"),  # RFC 4291 §2.5.5.1: not the IPv4 address that it resembles
        ("010.0.0.1", ""),
        ("1.2.3", ""),
        ("shop.example", ""),
        ("", ""),
    ],
)
def test_an_address_has_one_spelling(text: str, plain: str) -> None:
    assert plain_ip(text) == plain


@pytest.mark.parametrize(
    ("entry", "address"),
    [
        ("203.0.113.9", "203.0.113.9"),
        (" 203.0.113.9\t", "203.0.113.9"),
        ("203.0.113.9:4711", "203.0.113.9"),
        ("2001:db8::9", "2001:db8::9"),
        ("[2001:db8::9]", "2001:db8::9"),
        ("[2001:db8::9]:4711", "2001:db8::9"),
        ('"[2001:db8::9]:4711"', "2001:db8::9"),
        ("::ffff:203.0.113.9", "203.0.113.9"),
        ("[::ffff:203.0.113.9]:80", "203.0.113.9"),
        ("fe80::1%eth0", "fe80::1"),
        ("unknown", ""),
        ("_hidden", ""),
        ("_SEVKISEK:4711", ""),
        ("", ""),
        ("[2001:db8::9", ""),
        ("[2001:db8::9]x", ""),
        ("[203.0.113.9]", ""),
        ("shop.example:80", ""),
        ("203.0.113.9 203.0.113.10", ""),
    ],
)
def test_a_node_is_its_address_without_the_port(entry: str, address: str) -> None:
    assert node_ip(entry) == address
