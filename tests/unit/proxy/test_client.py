"""The clients of one listener: who is connected, from where, with how many tunnels, and what goes on beside them."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from gateway.proxy.client import Clients
from gateway.routing.peer import Peer
from tests.support.bounds import Limits

ONE, TWO = Peer("192.0.2.1"), Peer("192.0.2.2")


def test_connections_are_counted_by_address() -> None:
    clients = Clients()
    first, second, third = (object() for _ in range(3))
    a: Any = first
    b: Any = second
    c: Any = third
    assert [clients.enter(a, "x"), clients.enter(b, "x"), clients.enter(c, "y")] == [1, 2, 1]
    clients.leave(a, "x")
    assert (clients.connections, clients.by_ip) == ({b, c}, {"x": 1, "y": 1})
    clients.leave(b, "x")
    clients.leave(c, "y")
    assert (clients.connections, clients.by_ip) == (set(), {})


def test_tunnels_are_claimed_as_far_as_there_are_some_for_all_and_for_one() -> None:
    clients, limits = Clients(), Limits(tunnels=3, tunnels_per_client=2)
    assert [clients.claim_tunnel(ONE, limits) for _ in range(2)] == [None, None]
    refusal = clients.claim_tunnel(ONE, limits)
    assert refusal is not None
    assert (refusal[0].code, refusal[1]) == ("too_many_tunnels", "192.0.2.1 has 2 tunnels already open or requested")
    assert clients.claim_tunnel(TWO, limits) is None
    refusal = clients.claim_tunnel(TWO, limits)
    assert refusal is not None
    assert (refusal[0].code, refusal[1]) == ("overloaded", "3 tunnels are already open or requested")
    assert (clients.tunnels, clients.tunnels_by_ip) == (3, {"192.0.2.1": 2, "192.0.2.2": 1})
    clients.give_back_tunnel(ONE)
    clients.give_back_tunnel(TWO)
    assert (clients.tunnels, clients.tunnels_by_ip) == (1, {"192.0.2.1": 1})
    assert clients.claim_tunnel(ONE, limits) is None


def test_a_trusted_proxy_has_tunnels_for_many() -> None:
    clients, limits, proxy = Clients(), Limits(tunnels=3, tunnels_per_client=1), Peer("192.0.2.1", True)
    assert [clients.claim_tunnel(proxy, limits) is None for _ in range(4)] == [True, True, True, False]


@pytest.mark.parametrize("error", [None, ValueError("a bug"), asyncio.CancelledError()])
async def test_a_task_is_kept_until_it_is_done_and_what_it_raises_is_told(error: BaseException | None) -> None:
    clients = Clients()
    caught: list[Exception] = []
    gate = asyncio.Event()

    async def work() -> None:
        await gate.wait()
        if error is not None:
            raise error

    clients.spawn(work(), caught.append)
    (task,) = clients.tasks
    gate.set()
    await asyncio.wait([task])
    await asyncio.sleep(0)
    assert clients.tasks == set()
    assert caught == ([error] if isinstance(error, Exception) else [])
