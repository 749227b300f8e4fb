"""The connections of one instance: who gets which, who waits, and that none is lost on the way."""

from __future__ import annotations

import asyncio
import time
from types import SimpleNamespace
from typing import Any

import pytest

from gateway.failures import BUSY, CONNECT_ERROR
from gateway.instance import Instance
from gateway.proxy.connection import Outbox
from gateway.proxy.origin import NotConnected, Origin
from gateway.proxy.origins import Origins
from gateway.proxy.runqueue import RunQueue
from gateway.proxy.upstream import Upstream
from gateway.tls.mesh import Secured
from tests.support.fakes import Connecting

SOON = 0.02


class Pool(Origin):
    """An origin with at most one connection."""

    def __init__(self, limit: int = 1) -> None:
        self.connecting = Connecting(asyncio.get_running_loop())
        loop: Any = self.connecting
        super().__init__(
            Instance("192.0.2.10", 80), limit, loop, Outbox(lambda flush: None), RunQueue(lambda run: None)
        )

    @property
    def state(self) -> tuple[int, int, int]:
        """How many are open, idle, and waited for."""
        return self.open, self.idle, self.waiting


async def waiting(pool: Pool, timeout: float = 10.0) -> asyncio.Task[Upstream]:
    """Somebody who waits for a connection."""
    before = pool.waiting
    task = asyncio.create_task(pool.acquire(timeout))
    await asyncio.sleep(0)
    assert pool.waiting == before + 1
    return task


async def test_a_connection_is_made_then_used_again() -> None:
    pool = Pool()
    first = await pool.acquire(1.0)
    assert pool.state == (1, 0, 0)
    pool.release(first, 0.0)
    assert pool.acquire_nowait() is first
    assert pool.connecting.made == 1


async def test_the_last_one_released_is_the_first_one_used_again() -> None:
    """Surplus ones age out: a turn for each would keep all of them alive for ever."""
    pool = Pool(limit=3)
    first, second, third = [await pool.acquire(1.0) for _ in range(3)]
    for upstream in (second, first, third):
        pool.release(upstream, 0.0)
    assert [pool.acquire_nowait(), await pool.acquire(1.0), pool.acquire_nowait()] == [third, first, second]
    assert pool.state == (3, 0, 0)


async def test_a_connection_that_came_free_before_the_asking_task_ran_is_taken() -> None:
    """The hot path found none idle; until its task runs, one is released."""
    pool = Pool()
    first = await pool.acquire(1.0)
    assert pool.acquire_nowait() is None
    task = asyncio.create_task(pool.acquire(0.0))
    pool.release(first, 0.0)
    assert await task is first
    assert pool.state == (1, 0, 0)


async def test_a_new_connection_is_made_beside_idle_ones() -> None:
    pool = Pool(limit=2)
    kept = await pool.acquire(1.0)
    pool.release(kept, 0.0)
    assert await pool.acquire(1.0, is_new=True) is not kept
    assert pool.state == (2, 1, 0)


async def test_a_new_connection_takes_the_place_of_an_idle_one_where_there_is_no_other() -> None:
    pool = Pool()
    kept = await pool.acquire(1.0)
    pool.release(kept, 0.0)
    task = asyncio.create_task(pool.acquire(1.0, is_new=True))
    await asyncio.sleep(0)
    assert kept.is_lost
    kept.connection_lost(None)  # which its transport reports a turn later
    assert await task is not kept
    assert pool.state == (1, 0, 0)


async def test_those_who_wait_are_served_in_order() -> None:
    pool = Pool()
    first = await pool.acquire(1.0)
    one, two = await waiting(pool), await waiting(pool)
    pool.release(first, 0.0)
    assert await one is first
    assert not two.done()
    pool.release(first, 0.0)
    assert await two is first


async def test_a_connection_that_comes_in_the_turn_in_which_time_is_up_is_used() -> None:
    pool = Pool()
    first = await pool.acquire(1.0)
    task = await waiting(pool, SOON)
    asyncio.get_running_loop().call_later(SOON * 0.9, pool.release, first, 0.0)
    time.sleep(SOON * 1.5)  # both are due in one turn now, the release first
    assert await task is first
    assert pool.state == (1, 0, 0)


async def test_who_gave_up_waits_no_more() -> None:
    """Though nothing is ever released."""
    pool = Pool()
    await pool.acquire(1.0)
    for _ in range(3):
        with pytest.raises(NotConnected) as error:
            await pool.acquire(0.0)
        assert error.value.fault is BUSY
    assert pool.state == (1, 0, 0)


async def test_who_was_cancelled_waits_no_more() -> None:
    pool = Pool()
    first = await pool.acquire(1.0)
    gone, next_one = await waiting(pool), await waiting(pool)
    gone.cancel()
    pool.release(first, 0.0)
    assert await next_one is first
    await asyncio.gather(gone, return_exceptions=True)
    assert pool.state == (1, 0, 0)


async def test_what_was_handed_to_somebody_cancelled_goes_to_the_next() -> None:
    pool = Pool()
    first = await pool.acquire(1.0)
    gone, next_one = await waiting(pool), await waiting(pool)
    pool.release(first, 0.0)
    gone.cancel()
    assert await next_one is first
    await asyncio.gather(gone, return_exceptions=True)
    assert pool.state == (1, 0, 0)


async def test_a_lost_connection_makes_room_for_exactly_one() -> None:
    """Also for whoever asks before the one who waited has woken."""
    pool = Pool()
    first = await pool.acquire(1.0)
    waiter = await waiting(pool)
    late = asyncio.create_task(pool.acquire(10.0))
    first.connection_lost(None)
    second = await waiter
    await asyncio.sleep(0)
    assert (second is first, late.done(), pool.state) == (False, False, (1, 0, 1))
    pool.release(second, 0.0)
    assert await late is second


async def test_leave_to_make_one_that_was_given_to_somebody_cancelled_goes_to_the_next() -> None:
    pool = Pool()
    first = await pool.acquire(1.0)
    gone, next_one = await waiting(pool), await waiting(pool)
    first.connection_lost(None)
    gone.cancel()
    await next_one
    await asyncio.gather(gone, return_exceptions=True)
    assert pool.state == (1, 0, 0)


async def test_a_connection_that_cannot_be_made_leaves_its_place() -> None:
    pool = Pool()
    pool.connecting.error = ConnectionRefusedError()
    for _ in range(3):
        with pytest.raises(NotConnected) as error:
            await pool.acquire(1.0)
        assert error.value.fault is CONNECT_ERROR
    assert pool.state == (0, 0, 0)


async def test_one_that_was_lost_while_it_was_handed_over_is_not_kept() -> None:
    """The exchange is over, and gives back what it waited for; meanwhile the instance has closed it."""
    pool = Pool()
    first = await pool.acquire(1.0)
    first.connection_lost(None)
    pool.release(first, 0.0)
    assert pool.state == (0, 0, 0)


async def test_connections_to_one_address_are_counted_together_however_it_is_spoken_to() -> None:
    """One service may speak TLS there and another one not; some may be on their way out."""
    origins = Origins(4)
    terms: Any = SimpleNamespace(fingerprint="x", context=None, server_name="", expected=None, multiplexed=None)
    origins.secure(Secured({"secret": terms}))
    instance = Instance("192.0.2.10", 80)
    for service, open_, idle, tunnels in (("plain", 3, 1, 2), ("secret", 2, 2, 1)):
        origin = origins.of(instance, service)
        origin._pool.open = open_
        origin._pool.idle += [Upstream(origin) for _ in range(idle)]
        origin.tunnels = tunnels
    assert origins.statistics() == {"192.0.2.10:80": (2, 3, 0, 3)}
    origins.secure(Secured())  # which retires what was made under those terms
    assert origins.statistics() == {"192.0.2.10:80": (2, 1, 3, 2)}
    origins.retire("192.0.2.10:80")
    assert origins.statistics() == {"192.0.2.10:80": (0, 0, 8, 0)}


async def test_a_service_that_speaks_tls_is_connected_to_under_its_terms_and_another_one_at_the_address_is_not() -> (
    None
):
    asked: list[tuple[str, int, dict[str, Any]]] = []

    class Loop(Connecting):
        async def create_connection(self, factory: Any, host: str, port: int, **terms: Any) -> None:
            asked.append((host, port, terms))
            await super().create_connection(factory, host, port)

    origins = Origins(4)
    loop: Any = Loop(asyncio.get_running_loop())
    origins._loop = loop
    named: Any = SimpleNamespace(
        fingerprint="x", context="terms", server_name="orders.internal", expected=None, multiplexed=None
    )
    plain: Any = SimpleNamespace(fingerprint="y", context="others", server_name="", expected=None, multiplexed=None)
    origins.secure(Secured({"named": named, "by-host": plain}))
    for service in ("named", "by-host", "open"):
        await origins.of(Instance("192.0.2.10", 443), service).acquire(1.0)
    assert asked == [
        ("192.0.2.10", 443, {"ssl": "terms", "server_hostname": "orders.internal"}),
        ("192.0.2.10", 443, {"ssl": "others", "server_hostname": "192.0.2.10"}),
        ("192.0.2.10", 443, {}),
    ]
