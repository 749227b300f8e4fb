"""Which loopback address stands for which service."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network

import pytest

from gateway.facade import addresses
from gateway.facade.addresses import Addresses


def test_each_service_has_one_of_its_own_and_the_same_after_a_restart() -> None:
    """Applications keep lists: another service at an address that they know would be called by mistake."""
    names = [f"service-{number}" for number in range(3000)]
    first = Addresses()
    given = {name: first.of(name) for name in names}
    assert len(set(given.values())) == len(names)
    assert all(IPv4Address(address) in IPv4Network("127.64.0.0/10") for address in given.values() if address)
    again = Addresses()
    assert {name: again.of(name) for name in names} == given


def test_two_that_lead_to_one_place_are_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(addresses, "COUNT", 4)
    found = Addresses()
    assert {found.of("a"), found.of("b")} == {"127.64.0.1", "127.64.0.2"}
    assert found.of("a") != found.of("b")


def test_there_is_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(addresses, "MOST", 1)
    found = Addresses()
    assert found.of("a") is not None
    assert found.of("b") is None
    assert found.of("a") is not None
