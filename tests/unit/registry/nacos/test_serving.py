"""Which gRPC clients are cut off: those that can be told to be gone, and nobody else."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from gateway.registry.nacos.connected import Connected
from gateway.registry.nacos.serving import GONE, SILENT, STUCK, GrpcServer
from gateway.web.work import Work

NOW = 1000.0


class Waiting:
    """A server with one connection whose times a test sets, and what became of it."""

    def __init__(self) -> None:
        nobody: Any = None
        self.server = GrpcServer(nobody, Work("test"), "the registry")
        self.is_closed = False
        self.connection = Connected("192.0.2.1", self._close)
        self.server._connections[nobody] = self.connection

    def _close(self) -> None:
        self.is_closed = True

    async def is_asked(self) -> bool:
        asked = asyncio.ensure_future(self.connection.next_push())
        await asyncio.sleep(0)
        if asked.done():
            assert asked.result() == ("ClientDetectionRequest", None)
        asked.cancel()
        return asked.done()


@pytest.mark.parametrize(
    ("silence", "is_set_up", "writing", "is_closed", "is_asked"),
    [
        pytest.param(SILENT, True, None, False, False, id="it said something lately"),
        pytest.param(SILENT + 1, True, None, False, True, id="it has said nothing for a while"),
        pytest.param(GONE, True, None, False, True, id="and for longer"),
        pytest.param(GONE + 1, True, None, True, False, id="it is gone"),
        pytest.param(SILENT, False, None, False, False, id="it has not introduced itself yet"),
        pytest.param(SILENT + 1, False, None, True, False, id="and does not"),
        pytest.param(0, True, STUCK, False, False, id="it reads slowly"),
        pytest.param(0, True, STUCK + 1, True, False, id="it reads nothing, though it says something"),
    ],
)
async def test_who_is_cut_off(
    silence: float, is_set_up: bool, writing: float | None, is_closed: bool, is_asked: bool
) -> None:
    waiting = Waiting()
    connection = waiting.connection
    connection.is_set_up = is_set_up
    connection.heard_at = NOW - silence
    connection.writing_since = None if writing is None else NOW - writing
    waiting.server.look(NOW)
    assert (waiting.is_closed, await waiting.is_asked()) == (is_closed, is_asked)
