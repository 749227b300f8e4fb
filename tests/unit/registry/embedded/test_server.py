"""The embedded registry as a running thing: what it takes over from the process before it, and where it says it is."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gateway.errors import StartError
from gateway.registry.embedded.handover import dump
from gateway.registry.embedded.server import EmbeddedRegistry
from gateway.registry.embedded.store import Lease, ServiceKey, Store

KEY = ServiceKey.of("", "", "a")


async def test_what_is_taken_over_is_on_disk_before_anybody_is_served(tmp_path: Path) -> None:
    old = Store()
    old.register(KEY, Lease("10.0.0.1", 80), 1.0)
    old.publish(ServiceKey.of("", "", "config"), "x", "text")
    registry = EmbeddedRegistry("127.0.0.1", 0, data=tmp_path / "data")
    registry.open()
    registry.know(dump(old))
    await registry.listen()
    kept = json.loads((tmp_path / "data" / "configs.json").read_text())
    assert [(entry["dataId"], entry["content"]) for entry in kept] == [("config", "x")]
    assert (tmp_path / "data" / "used").exists()
    assert not registry.is_warming
    await registry.stop()


async def test_what_another_version_knows_and_this_one_does_not_take_ends_the_start() -> None:
    registry = EmbeddedRegistry("127.0.0.1", 0)
    registry.open()
    key = {"namespace": "public", "group": "DEFAULT_GROUP", "name": "c"}
    with pytest.raises(StartError, match="cannot take over what the registry knows: type 'a/b'"):
        registry.know({"configs": [[key, "x", "a/b"]]})
    await registry.stop()


def test_an_ipv6_address_stands_in_brackets() -> None:
    assert EmbeddedRegistry("::1", 8848).address == "[::1]:8848"
