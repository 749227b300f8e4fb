"""Over which protocol a server is spoken to, and when the other one is tried again."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.errors import RegistryError
from gateway.registry.nacos.client import GRPC_AGAIN, NacosClient


class Rpc:
    """A connection over gRPC that somebody else says is there or not."""

    def __init__(self, is_connected: bool) -> None:
        self.is_connected = is_connected
        self.tried = 0

    async def connection(self) -> None:
        self.tried += 1
        if not self.is_connected:
            raise RegistryError("unreachable", "nobody listens there")


class Speaking:
    """A client at a time that a test sets."""

    def __init__(self, is_connected: bool, protocol: str) -> None:
        self.now = 1000.0
        self.client = NacosClient(["127.0.0.1:1"], protocol=protocol, clock=lambda: self.now)
        self.rpc = Rpc(is_connected)
        rpc: Any = self.rpc
        self.client._rpc = rpc


@pytest.mark.parametrize(
    ("protocol", "is_connected", "speaks"),
    [("http", True, False), ("http", False, False), ("grpc", True, True), ("grpc", False, True), ("auto", True, True)],
)
async def test_a_protocol_that_is_set_is_spoken_whatever_is_there(
    protocol: str, is_connected: bool, speaks: bool
) -> None:
    """Nothing is tried for that: what is asked next makes the connection, or says why it cannot."""
    speaking = Speaking(is_connected, protocol)
    assert (await speaking.client.speaks_grpc(), speaking.rpc.tried) == (speaks, 0)


async def test_a_server_that_does_not_speak_grpc_is_tried_now_and_then() -> None:
    speaking = Speaking(False, "auto")
    tried = []
    for now in (0.0, 0.0, GRPC_AGAIN - 1, GRPC_AGAIN, GRPC_AGAIN + 1):
        speaking.now = 1000.0 + now
        assert not await speaking.client.speaks_grpc()
        tried.append(speaking.rpc.tried)
    assert tried == [1, 1, 1, 2, 2]


async def test_a_server_that_was_away_is_tried_at_once() -> None:
    speaking = Speaking(False, "auto")
    assert not await speaking.client.speaks_grpc()
    speaking.client.try_grpc_again()
    assert not await speaking.client.speaks_grpc()
    assert speaking.rpc.tried == 2
