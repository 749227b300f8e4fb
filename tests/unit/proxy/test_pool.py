"""What is decided about one instance's connections, before anybody acts on it."""

from __future__ import annotations

import asyncio
from typing import Any

from gateway.proxy.connection import Outbox
from gateway.proxy.pool import Pool, Waiter
from gateway.proxy.runqueue import RunQueue
from gateway.proxy.upstream import Upstream, UpstreamOwner

OWNER = UpstreamOwner(Outbox(lambda flush: None), RunQueue(lambda run: None))


def connection(idle_since: float = 0.0) -> Upstream:
    upstream = Upstream(OWNER)
    upstream.idle_since = idle_since
    return upstream


def asked(pool: Pool, is_new: bool = False) -> tuple[Upstream | None, bool, Upstream | None]:
    verdict = pool.ask(is_new)
    return verdict.upstream, verdict.may_open, verdict.to_close


def queued(pool: Pool) -> Waiter:
    waiter: Any = asyncio.get_running_loop().create_future()
    pool.waiting[waiter] = None
    found: Waiter = waiter
    return found


def test_the_last_one_put_back_is_the_first_one_taken() -> None:
    pool = Pool(2)
    assert (asked(pool), asked(pool)) == ((None, True, None), (None, True, None))
    old, young = connection(), connection()
    pool.put(old)
    pool.put(young)
    assert (asked(pool)[0], asked(pool)[0]) == (young, old)


def test_at_the_limit_one_waits() -> None:
    pool = Pool(1)
    assert asked(pool) == (None, True, None)
    assert asked(pool) == (None, False, None)
    assert pool.open == 1


def test_who_wants_a_new_one_gets_the_place_of_the_oldest_idle_one_if_there_is_no_other() -> None:
    pool = Pool(2)
    pool.ask(False)
    pool.put(old := connection())
    assert asked(pool, is_new=True) == (None, True, None)
    assert asked(pool, is_new=True) == (None, False, old)


async def test_those_who_wait_get_connections_and_places_in_order() -> None:
    pool = Pool(2)
    pool.ask(False)
    pool.ask(False)
    first, second, third = queued(pool), queued(pool), queued(pool)
    assert pool.assign() == []
    pool.put(free := connection())
    pool.put(None)
    assert [(grant.waiter, grant.upstream) for grant in pool.assign()] == [(first, free), (second, None)]
    assert (pool.open, list(pool.waiting)) == (2, [third])


def test_only_what_has_been_idle_for_long_is_closed() -> None:
    pool = Pool(3)
    kept = [connection(1.0), connection(2.0), connection(3.0)]
    for upstream in kept:
        pool.put(upstream)
    assert pool.aged(2.0) == kept[:2]
    assert pool.idle == kept[2:]
