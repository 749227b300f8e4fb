"""When descriptors run short, clients are told, an instance is not blamed, and some are left for what must go on."""

from __future__ import annotations

import errno
import logging
from typing import Any

import pytest

from gateway.proxy import descriptors
from gateway.proxy.descriptors import RESERVE
from tests.support.fakes import FakeTransport, Wired

GET = b"GET /A/x HTTP/1.1\r\nHost: x\r\n\r\n"
LIMIT = 1000


@pytest.fixture(autouse=True)
def _limited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(descriptors, "_told_at", -descriptors.INTERVAL)
    monkeypatch.setattr(descriptors, "limit", lambda: LIMIT)


class Numbered(FakeTransport):
    """A connection with a descriptor's number."""

    def __init__(self, protocol: Any, number: int) -> None:
        super().__init__(protocol)
        self._number = number

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return self if name == "socket" else super().get_extra_info(name, default)

    def fileno(self) -> int:
        return self._number


def connect(wired: Wired, number: int) -> Numbered:
    client, _ = wired.client()
    transport = Numbered(client, number)
    wired.clients.connections.discard(client)
    client.connection_made(transport)
    wired.turns.settle()
    return transport


async def test_a_client_that_takes_one_of_the_last_is_told_and_closed_at_once(caplog: pytest.LogCaptureFixture) -> None:
    """Also before it has asked anything: reading on would keep the descriptor."""
    wired = Wired()
    with caplog.at_level(logging.ERROR):
        assert connect(wired, LIMIT - RESERVE - 1).written == b""
        for number in (LIMIT - RESERVE, LIMIT - 1):
            transport = connect(wired, number)
            assert transport.written.startswith(b"HTTP/1.1 503 ")
            assert (transport.is_closed, transport.has_written_eof) == (True, False)
    assert wired.traffic.refused == {"overloaded": 2}
    assert [record.message for record in caplog.records] == [
        f"file descriptors have run short (the limit is {LIMIT}): new connections are refused"
    ]


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM])
async def test_an_instance_is_not_blamed_for_it(number: int) -> None:
    wired = Wired()
    wired.connecting.error = OSError(number, "none left")
    client, here = wired.client()
    client.data_received(GET)
    for task in list(wired.clients.tasks):
        await task
    wired.turns.settle()
    assert here.written.startswith(b"HTTP/1.1 503 ")
    assert b'"code": "overloaded"' in here.written
    assert (wired.traffic.upstream_errors, wired.origins.of(wired.address, "a").open) == ({}, 0)


def test_a_limit_that_is_too_low_is_told_at_the_start(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        descriptors.warn_of_shortage(500, LIMIT - RESERVE - 500)
        assert caplog.records == []
        descriptors.warn_of_shortage(501, LIMIT - RESERVE - 500)
    assert "limits.connections (501)" in caplog.records[0].message
