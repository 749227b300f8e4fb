"""The release server on PostgreSQL: the same orders, the same kills, and the database away in the middle."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from gateway.release.states import State
from gateway.release.store import Overtaken, StoreError
from tests.support.postgres import Postgres, needs_postgres
from tests.support.releases import Bench, Killed, task_of

pytestmark = needs_postgres


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    server = Postgres()
    server.start()
    yield server
    server.remove()


@pytest.fixture
async def bench(server: Postgres, tmp_path: Path) -> AsyncIterator[Bench]:
    server.empty()
    bench = Bench(tmp_path, None, f"database: '{server.url}'\n")
    yield bench
    await bench.server.stop()


@pytest.mark.parametrize("at", [3, 9, 15])
async def test_killed_at_a_write_it_goes_on(bench: Bench, at: int) -> None:
    await bench.begin()
    number = await bench.run(a="1")
    bench.store.dies_at = (at, "before")
    with pytest.raises(Killed):
        await bench.settle(number)
    await bench.store.close()
    await bench.begin()
    order = await bench.settle(number)
    assert (order.state, len(task_of(order, "approve").approvals)) == (State.SUCCESS, 1)
    assert bench.target.running() == {"prod a": ["1"]}
    assert len(bench.target.started) == 2
    assert not (bench.config.state / "release.db").exists()


async def test_a_database_that_is_away_for_a_while_loses_nothing(server: Postgres, bench: Bench) -> None:
    await bench.begin()
    number = await bench.run(a="1")
    await bench.drive(number)
    server.stop()
    with pytest.raises(StoreError, match="the database of the release server"):
        await bench.server.actions.vote(number, "alice", "fine", True)
    server.start()
    assert task_of(bench.server.ledger.active[number], "approve").approvals == []
    assert (await bench.settle(number)).state is State.SUCCESS


async def test_a_second_server_on_the_same_database_overwrites_nothing(bench: Bench) -> None:
    await bench.begin()
    number = await bench.run(a="1")
    first = bench.server
    await bench.begin()
    await bench.server.actions.suspend(number, "bob", "wait")
    with pytest.raises(Overtaken, match="only one may use this database"):
        await first.actions.abort(number, "alice", "now")
    await first.stop()
    found = await bench.store.order(number)
    assert found is not None
    assert found.state is State.SUSPENDED
