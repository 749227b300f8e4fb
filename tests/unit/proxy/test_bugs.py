"""An error of this program ends one connection, with an answer where one is still possible, and is told once."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from gateway.proxy import bugs
from tests.support.fakes import Wired

GET = b"GET /A/x HTTP/1.1\r\nHost: x\r\n\r\n"
HELLO = b"GET /hello HTTP/1.1\r\nHost: x\r\n\r\n"
WHOLE = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
BEGUN = b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nok"


@pytest.fixture(autouse=True)
def _nothing_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bugs, "_told", set())


class Raising:
    """Raises whatever is called."""

    def is_trusted(self, ip: str) -> bool:
        return False

    def __getattr__(self, name: str) -> Any:
        def fail(*arguments: object) -> None:
            raise ZeroDivisionError(name)

        return fail


async def test_a_router_that_raises_is_500_and_told_once(caplog: pytest.LogCaptureFixture) -> None:
    wired = Wired()
    wired.context.router = Raising()  # type: ignore[assignment]
    with caplog.at_level(logging.ERROR):
        for _ in range(3):
            client, transport = wired.client()
            client.data_received(HELLO * 2)
            wired.turns.settle()
            head, _, body = transport.written.partition(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 500 Internal Server Error\r\nContent-Type: application/problem+json")
            assert b"Connection: close" in head
            assert b'"code": "internal_error"' in body
            assert b"HTTP/1.1" not in body
            assert transport.has_written_eof
    assert [record.exc_info is not None for record in caplog.records] == [True]
    assert wired.traffic.internal_errors == 3
    assert wired.traffic.refused == {"internal_error": 3}


async def test_an_error_while_reading_the_instances_answer_is_500() -> None:
    wired = Wired()
    instance, upstream = wired.instance()
    client, transport = wired.client()
    client.data_received(GET)
    wired.context.response_reader = Raising()  # type: ignore[assignment]
    instance.data_received(WHOLE)
    wired.turns.settle()
    assert transport.written.startswith(b"HTTP/1.1 500 ")
    assert (upstream.is_aborted, transport.is_closed) == (True, True)
    assert (wired.traffic.in_flight, wired.traffic.internal_errors) == (0, 1)
    assert wired.traffic.exchanges["a"]["base"].statuses == {500: 1}


async def test_an_error_behind_the_head_of_an_answer_cuts_it_short() -> None:
    wired = Wired()
    instance, upstream = wired.instance()
    client, transport = wired.client()
    client.data_received(GET)
    instance.data_received(BEGUN)
    wired.turns.settle()
    exchange = client._exchange
    assert exchange is not None
    exchange._relay = Raising()  # type: ignore[assignment]
    instance.data_received(b"more")
    wired.turns.settle()
    assert transport.written == BEGUN
    assert (upstream.is_aborted, transport.is_aborted, wired.traffic.in_flight) == (True, True, 0)


async def test_an_error_of_the_account_closes_the_connection() -> None:
    """The exchange is over by then, and is not accounted for twice."""
    wired = Wired()
    wired.context.log = Raising()  # type: ignore[assignment]
    client, transport = wired.client()
    client.data_received(HELLO)
    wired.turns.settle()
    assert (transport.written, transport.is_aborted) == (b"", True)
    assert (wired.traffic.in_flight, wired.traffic.internal_errors) == (0, 1)


async def test_an_error_of_the_slow_path_is_500() -> None:
    """Nobody would ever have answered: a request that waits for a connection has no deadline of its own."""
    wired = Wired()
    wired.connecting.error = ZeroDivisionError()
    client, transport = wired.client()
    client.data_received(GET)
    tasks = list(wired.clients.tasks)
    assert len(tasks) == 1
    with pytest.raises(ZeroDivisionError):
        await tasks[0]
    wired.turns.settle()
    assert transport.written.startswith(b"HTTP/1.1 500 ")
    assert (wired.traffic.in_flight, wired.clients.tasks) == (0, set())


async def test_an_error_on_an_idle_connection_closes_that_one() -> None:
    wired = Wired()
    instance, _ = wired.instance()
    instance.owner = Raising()  # type: ignore[assignment]
    instance.connection_lost(None)
    assert wired.traffic.internal_errors == 0


@pytest.mark.parametrize("call", ["eof_received", "pause_writing", "resume_writing"])
async def test_whatever_the_transport_says_nothing_passes_to_the_loop(call: str) -> None:
    wired = Wired()
    client, _ = wired.client()
    client._exchange = Raising()  # type: ignore[assignment]
    getattr(client, call)()
    client._exchange = None
    client.connection_lost(None)
    assert wired.traffic.connections == 0
