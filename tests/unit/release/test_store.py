"""What is kept: whole or not at all, also on a disk that is full."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from gateway.release.order import Order, Task
from gateway.release.states import State
from gateway.release.store import Change, Hold, Line, Overtaken, Store, StoreError, VersionRecord


def order(**more: Any) -> Order:
    task = Task(stage="gray", step=0, kind="pause")
    fields = {"workflow": "w", "actor": "alice", "reason": "why", "created_at": 1.0, "releases": {}, "environments": []}
    return Order(**fields, tasks=[task], **more)  # type: ignore[arg-type]


def record(version: str | None, number: int, reason: str = "why") -> VersionRecord:
    return VersionRecord("prod", "a", number, version, {"backend": "a:1"}, {}, "kind: X", "alice", reason, 1.0)


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    store = Store(tmp_path)
    await store.open()
    yield store
    await store.close()


async def test_an_order_comes_back_as_it_was_written(store: Store) -> None:
    written = order()
    await store.write(
        Change([written], [Hold("prod", "DEPLOYING")], audit=[Line("alice", "order.deploy", "a", "why", 1.0)])
    )
    assert (written.id, written.revision) == (1, 1)
    assert await store.active_orders() == [written]
    assert await store.holds() == {"prod": Hold("prod", "DEPLOYING")}
    assert [(line.order, line.id) for line in await store.audit()] == [(1, 1)]


async def test_one_that_has_ended_is_active_no_more(store: Store) -> None:
    written = order()
    await store.write(Change([written]))
    written.state = State.SUCCESS
    await store.write(Change([written]))
    assert (await store.active_orders(), [item.state for item in await store.orders(5)]) == ([], [State.SUCCESS])


async def test_a_change_that_somebody_else_was_quicker_with_is_refused_whole(store: Store) -> None:
    written = order()
    await store.write(Change([written]))
    stale = written.model_copy(deep=True)
    await store.write(Change([written]))
    with pytest.raises(Overtaken):
        await store.write(Change([stale], [Hold("prod")], audit=[Line("bob", "x", "y", "z", 1.0)]))
    assert (await store.holds(), await store.audit()) == ({}, [])


async def test_a_version_is_kept_once_an_order(store: Store) -> None:
    await store.write(Change(versions=[record("1", 1)]))
    await store.write(Change(versions=[record("2", 2)]))
    await store.write(Change(versions=[record("2", 2, "again")]))
    assert [(item.version, item.reason) for item in await store.versions("prod", "a")] == [("2", "again"), ("1", "why")]


async def test_what_is_kept_outlives_the_server(tmp_path: Path, store: Store) -> None:
    await store.write(Change([order()], versions=[record("1", 1)]))
    again = Store(tmp_path)
    await again.open()
    assert ([item.id for item in await again.active_orders()], len(await again.versions())) == ([1], 1)
    await again.close()


async def test_on_a_full_disk_nothing_is_half_written_and_it_goes_on_when_there_is_room(store: Store) -> None:
    written = order()
    await store.write(Change([written]))
    await bound(store, 1)
    written.reason = "long " * 100_000
    with pytest.raises(StoreError, match="database or disk is full"):
        await store.write(Change([written], [Hold("prod")]))
    found = await store.order(1)
    assert found is not None
    assert (found.reason, await store.holds()) == ("why", {})
    await bound(store, 1_000_000)
    await store.write(Change([written]))


async def bound(store: Store, pages: int) -> None:
    """Bounds the size of the database, as a disk would."""

    def work() -> None:
        assert store._engine is not None
        with store._engine.connect() as connection:
            driver: Any = connection.connection.driver_connection
            assert isinstance(driver, sqlite3.Connection)
            driver.execute(f"PRAGMA max_page_count={pages}")

    await store._run(work)


async def test_a_folder_that_is_none_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    store = Store(tmp_path / "file")
    with pytest.raises(StoreError, match="the database of the release server"):
        await store.open()
    await store.close()
