"""Whether a connection that has just been opened is let in, and why not."""

from __future__ import annotations

from ipaddress import IPv4Network
from typing import Any

import pytest

from gateway.failures import OVERLOADED, TOO_MANY_CONNECTIONS
from gateway.proxy import descriptors
from gateway.proxy.admission import Refused, admit
from gateway.proxy.connection import HIGH_WATER
from gateway.proxy.descriptors import RESERVE
from gateway.proxy.downstream import Downstream
from tests.support.bounds import Limits
from tests.support.fakes import FakeTransport, Wired

DESCRIPTORS = 1000


class Caller(FakeTransport):
    """A connection from an address, with a descriptor's number; `high` stays 0 unless somebody sets it."""

    def __init__(self, ip: str, number: int = 10) -> None:
        super().__init__(high=0)
        self._ip = ip
        self._number = number

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return {"peername": (self._ip, 40000), "socket": self}.get(name, default)

    def fileno(self) -> int:
        return self._number


@pytest.fixture(autouse=True)
def _descriptors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(descriptors, "limit", lambda: DESCRIPTORS)


def come(wired: Wired, transport: Caller, *, encrypted: bool = False, proxied: str = "") -> Downstream:
    connection = Downstream(wired.context, wired.clients)
    connection.transport = transport
    connection.is_encrypted = encrypted
    connection.proxied_ip = proxied
    return connection


def why(refused: Refused | None) -> tuple[str, str, bool] | None:
    return None if refused is None else (refused.error.failure.code, refused.error.detail, refused.at_once)


def ask(wired: Wired, ip: str, proxied: str = "") -> tuple[str, str, bool] | None:
    return why(admit(come(wired, Caller(ip), proxied=proxied)))


async def test_who_is_let_in_is_known_and_counted() -> None:
    wired = Wired()
    connection = come(wired, Caller("::ffff:192.0.2.7"))
    assert admit(connection) is None
    assert (connection.peer.ip, connection.peer.is_trusted) == ("192.0.2.7", False)
    assert wired.clients.connections == {connection}
    assert wired.traffic.connections == 1


async def test_a_client_has_its_share_and_takes_nobody_elses() -> None:
    wired = Wired(Limits(connections_per_client=2))
    assert [ask(wired, "192.0.2.1") for _ in range(2)] == [None, None]
    refused = (TOO_MANY_CONNECTIONS.code, "192.0.2.1 has more than 2 connections open", False)
    assert ask(wired, "192.0.2.1") == refused
    assert ask(wired, "192.0.2.2") is None
    assert wired.traffic.connections == 4  # those that are refused are connections, too


async def test_one_that_was_let_in_and_left_makes_room() -> None:
    wired = Wired(Limits(connections_per_client=1))
    connection = come(wired, Caller("192.0.2.1"))
    assert admit(connection) is None
    connection.connection_lost(None)
    assert ask(wired, "192.0.2.1") is None


async def test_whom_a_load_balancer_names_is_the_client() -> None:
    wired = Wired(Limits(connections_per_client=1))
    assert [ask(wired, "192.0.2.1", proxied=f"198.51.100.{number}") for number in (1, 2)] == [None, None]
    assert ask(wired, "192.0.2.9", proxied="198.51.100.2") == (
        TOO_MANY_CONNECTIONS.code,
        "198.51.100.2 has more than 1 connections open",
        False,
    )


async def test_a_trusted_proxy_has_no_share_but_the_limit_of_all() -> None:
    wired = Wired(Limits(connections=3, connections_per_client=1), trusted=(IPv4Network("192.0.2.0/24"),))
    assert [ask(wired, "192.0.2.1") for _ in range(3)] == [None] * 3
    assert ask(wired, "192.0.2.1") == (OVERLOADED.code, "more than 3 connections are open", False)


async def test_beyond_both_limits_a_client_is_told_of_its_own() -> None:
    wired = Wired(Limits(connections=1, connections_per_client=1))
    assert ask(wired, "192.0.2.1") is None
    refused = ask(wired, "192.0.2.1")
    assert refused is not None
    assert refused[0] == TOO_MANY_CONNECTIONS.code


@pytest.mark.parametrize(("number", "is_in"), [(DESCRIPTORS - RESERVE - 1, True), (DESCRIPTORS - RESERVE, False)])
async def test_what_would_take_a_descriptor_of_the_reserve_goes_at_once(number: int, is_in: bool) -> None:
    wired = Wired()
    refused = why(admit(come(wired, Caller("192.0.2.1", number))))
    assert refused == (None if is_in else (OVERLOADED.code, "this gateway can open no more connections", True))


@pytest.mark.parametrize("encrypted", [True, False])
async def test_tls_has_the_bounds_of_what_waits_that_plain_text_has(encrypted: bool) -> None:
    """asyncio's own for TLS are eight times as many bytes; plain text has these by default."""
    transport = Caller("192.0.2.1")
    admit(come(Wired(), transport, encrypted=encrypted))
    assert transport.high == (HIGH_WATER if encrypted else 0)
