"""Which addresses are a gateway's own."""

from __future__ import annotations

import pytest

from gateway.app.addresses import find_address, own_addresses, own_metadata
from gateway.settings.sidecar import SidecarSettings


def test_a_listener_on_every_interface_is_known_by_more_than_one_address() -> None:
    assert own_addresses("10.0.0.1", 80) == {"10.0.0.1:80", "localhost:80"}
    assert {"0.0.0.0:80", "127.0.0.1:80", "[::1]:80", "localhost:80"} <= own_addresses("0.0.0.0", 80)


def test_the_address_of_a_listener() -> None:
    assert find_address("10.0.0.1") == "10.0.0.1"
    assert find_address("gateway.local") == "gateway.local"
    assert find_address("0.0.0.0") != "0.0.0.0"


@pytest.mark.parametrize(
    ("admin", "expected"),
    [
        ("127.0.0.1:9901", {"gray-sidecar": "b", "gray-protocol": "h2c"}),
        ("localhost:9901", {"gray-sidecar": "b", "gray-protocol": "h2c"}),
        ("0.0.0.0:0", {"gray-sidecar": "b", "gray-protocol": "h2c"}),
        ("0.0.0.0:9902", {"gray-sidecar": "b", "gray-protocol": "h2c", "gray-sidecar-admin": "9902"}),
        ("[2001:db8::1]:9903", {"gray-sidecar": "b", "gray-protocol": "h2c", "gray-sidecar-admin": "9903"}),
    ],
)
def test_a_sidecar_registers_where_others_may_ask_it(admin: str, expected: dict[str, str]) -> None:
    plain = {"service": "b", "app": "127.0.0.1:1", "inbound": "127.0.0.1:2", "outbound": "127.0.0.1:3"}
    settings = SidecarSettings.model_validate({**plain, "admin": admin, "registry": {"kind": "static"}})
    assert own_metadata(settings) == expected
