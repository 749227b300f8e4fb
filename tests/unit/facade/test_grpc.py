"""Config values through the façade: what is remembered of them, and within which bounds."""

from __future__ import annotations

import pytest

from gateway.facade import grpc as module
from gateway.facade.grpc import ConfigRelay
from gateway.registry.embedded.store import ServiceKey
from gateway.registry.nacos.client import NacosClient

KEYS = [ServiceKey.of("", "", f"c{number}") for number in range(4)]


@pytest.fixture
def relay() -> ConfigRelay:
    return ConfigRelay(NacosClient(["127.0.0.1:1"]))


def remembered(relay: ConfigRelay) -> dict[str, str]:
    return {key.name: response["content"] for key, response in relay._known.items()}


def test_values_are_remembered_up_to_a_number_and_a_size(relay: ConfigRelay, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_REMEMBERED", 3)
    monkeypatch.setattr(module, "MOST_CHARACTERS", 100)
    for key, size in zip(KEYS, (40, 40, 40, 5), strict=True):
        relay._remember(key, {"content": "x" * size})
    assert remembered(relay) == {"c0": "x" * 40, "c1": "x" * 40, "c3": "x" * 5}


def test_the_latest_value_is_what_counts_and_never_an_older_one(
    relay: ConfigRelay, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST_REMEMBERED", 1)
    monkeypatch.setattr(module, "MOST_CHARACTERS", 10)
    relay._remember(KEYS[0], {"content": "one"})
    relay._remember(KEYS[0], {"content": "two"})
    assert remembered(relay) == {"c0": "two"}
    relay._remember(KEYS[0], {"content": "too long to keep"})
    assert remembered(relay) == {}
    relay._remember(KEYS[1], {"content": "x" * 10})
    assert remembered(relay) == {"c1": "x" * 10}
