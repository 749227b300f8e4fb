"""Which addresses are a gateway's own."""

from __future__ import annotations

from gateway.app.addresses import find_address, own_addresses


def test_a_listener_on_every_interface_is_known_by_more_than_one_address() -> None:
    assert own_addresses("10.0.0.1", 80) == {"10.0.0.1:80", "localhost:80"}
    assert {"0.0.0.0:80", "127.0.0.1:80", "[::1]:80", "localhost:80"} <= own_addresses("0.0.0.0", 80)


def test_the_address_of_a_listener() -> None:
    assert find_address("10.0.0.1") == "10.0.0.1"
    assert find_address("gateway.local") == "gateway.local"
    assert find_address("0.0.0.0") != "0.0.0.0"
