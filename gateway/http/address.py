"""Addresses in the one spelling that is used everywhere: for trust, conditions, limits, logs and what is forwarded."""

from __future__ import annotations

from ipaddress import IPv6Address, ip_address


def plain_ip(text: str) -> str:
    """An IP address as this program spells it, or the empty string for what is none.

    IPv6 is written as RFC 5952 has it, without a zone: `fe80::1%eth0` names an interface of one machine. An IPv4 address
    in IPv6's clothes (`::ffff:192.0.2.1`, RFC 4291 §2.5.5.2), as a listener on `[::]` sees IPv4 clients, is that IPv4
    address.
    """
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return ""
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(address)


def node_ip(text: str) -> str:
    """The address in one entry of X-Forwarded-For, or in a `for` of Forwarded (RFC 7239 §6): its port is left out.

    Taken are `192.0.2.1`, `192.0.2.1:4711`, `2001:db8::1`, `[2001:db8::1]` and `[2001:db8::1]:4711`, in quotes or not. Of
    `unknown`, obfuscated identifiers and anything else the empty string is returned.
    """
    text = text.strip(" \t").strip('"')
    if text.startswith("["):
        host, closing, port = text[1:].partition("]")
        return plain_ip(host) if closing and (not port or port.startswith(":")) and ":" in host else ""
    if text.count(":") == 1:
        text = text.partition(":")[0]
    return plain_ip(text)
