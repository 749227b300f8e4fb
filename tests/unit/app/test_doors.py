"""Addresses that stand for one service each: which there are, and where somebody listens for them."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from gateway.app.doors import Doors
from gateway.errors import StartError
from gateway.facade import addresses
from gateway.proxy.server import Listener, bind
from gateway.registry.embedded.store import Refused
from gateway.settings.sidecar import SidecarSettings
from tests.support.fakes import Wired
from tests.support.roles import sidecar_settings


class Beside:
    """An outbound listener that serves, and its doors."""

    async def open(self, settings: SidecarSettings) -> None:
        self.context = Wired().context
        self.doors = Doors(settings, self.context)
        self.listener = Listener(bind("127.0.0.1", 0), self.context)
        await self.listener.start()


@pytest.fixture
async def beside(request: pytest.FixtureRequest) -> Any:
    beside = Beside()
    await beside.open(sidecar_settings(**getattr(request, "param", {})))
    yield beside
    await beside.listener.close()


CONFIGURED = {"outbounds": {"a": "127.0.0.1:7001", "c": "0.0.0.0:7002"}}


@pytest.mark.parametrize("beside", [CONFIGURED], indirect=True)
async def test_a_configured_address_is_there_from_the_start(beside: Beside) -> None:
    """One on every interface is known by its port alone, and called on this machine."""
    known = {("127.0.0.1", 7001): "a", ("", 7002): "c"}
    assert beside.context.doors == known
    assert await beside.doors.open("a", beside.listener) == ("127.0.0.1", 7001)
    assert await beside.doors.open("c", beside.listener) == ("127.0.0.1", 7002)
    assert beside.context.doors == known


async def test_a_service_that_is_asked_for_gets_an_address_of_its_own_and_somebody_listens_there(
    beside: Beside,
) -> None:
    host, port = await beside.doors.open("d", beside.listener)
    assert (host.startswith("127."), port) == (True, beside.listener.port)
    assert beside.context.doors == {(host, port): "d"}
    _, writer = await asyncio.open_connection(host, port)
    writer.close()
    assert await beside.doors.open("d", beside.listener) == (host, port)
    assert await beside.doors.open("e", beside.listener) != (host, port)


@pytest.mark.parametrize("beside", [{"outbound": "0.0.0.0:0"}], indirect=True)
async def test_a_listener_on_every_interface_needs_no_further_socket(beside: Beside) -> None:
    host, port = await beside.doors.open("d", beside.listener)
    assert beside.context.doors == {(host, port): "d"}
    with pytest.raises(ConnectionRefusedError):  # this one listens on 127.0.0.1 alone: nothing was added
        await asyncio.open_connection(host, port)


async def test_an_address_that_cannot_be_had_is_told_and_is_no_door(
    beside: Beside, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(host: str, port: int, shared: bool = False) -> None:
        raise StartError(f"cannot listen on {host}:{port}: {'shared' if shared else 'alone'}")

    monkeypatch.setattr("gateway.app.doors.bind", refuse)
    with pytest.raises(Refused, match=r"^'d' has no address: cannot listen on 127\..*: shared \(Linux has all of"):
        await beside.doors.open("d", beside.listener)
    assert beside.context.doors == {}


async def test_of_more_services_than_there_is_room_for_no_address_is_made(
    beside: Beside, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(addresses, "MOST", 1)
    first = await beside.doors.open("d", beside.listener)
    with pytest.raises(Refused, match=r"^too many services were requested: 'e' gets no address$"):
        await beside.doors.open("e", beside.listener)
    assert await beside.doors.open("d", beside.listener) == first
