"""The last records: bounded, with ids that only grow, and no queue for anybody who follows them."""

from __future__ import annotations

import asyncio

import pytest

from gateway.live.store import RecordStore
from gateway.telemetry.request_record import Reporter
from tests.support.records import record

GATEWAY = Reporter("gateway")


def filled(count: int, size: int = 100, max_bytes: int = 1 << 20) -> RecordStore:
    store = RecordStore(size, max_bytes, 1)
    store.add(GATEWAY, [record(status=200 + number) for number in range(count)])
    return store


def ids(store: RecordStore) -> list[int]:
    return [stored.id for stored in store]


async def test_the_oldest_make_room() -> None:
    store = filled(12, size=5)
    assert (len(store), ids(store), store.last) == (5, [8, 9, 10, 11, 12], 12)


async def test_bytes_are_bounded_too_and_counted_down() -> None:
    store = RecordStore(1000, 10_000, 1)
    for _ in range(50):
        store.add(GATEWAY, [record(path="/" + "x" * 2000)])
        assert store.bytes <= 10_000
    assert len(store) == 3  # of some 3,200 bytes each
    store.add(GATEWAY, [record(head=b"x" * 20_000)])
    assert (len(store), store.bytes) == (0, 0)


async def test_a_record_is_found_by_its_id_while_it_is_there() -> None:
    store = filled(12, size=5)
    assert [stored and stored.id for stored in map(store.find, (7, 8, 12, 13))] == [None, 8, 12, None]
    assert RecordStore(5, 1000, 1).find(1) is None


@pytest.mark.parametrize(
    ("cursor", "most", "gone", "found"),
    [
        pytest.param(12, 10, 0, [], id="up to date"),
        pytest.param(9, 10, 0, [10, 11, 12], id="behind"),
        pytest.param(7, 10, 0, [8, 9, 10, 11, 12], id="just in time"),
        pytest.param(7, 2, 0, [8, 9], id="a slice"),
        pytest.param(4, 10, 3, [8, 9, 10, 11, 12], id="too slow: three are gone"),
        pytest.param(0, 10, 7, [8, 9, 10, 11, 12], id="from the very first"),
        pytest.param(-5, 10, None, [8, 9, 10, 11, 12], id="of the program before the restart"),
        pytest.param(99, 10, None, [8, 9, 10, 11, 12], id="of one whose clock was ahead"),
    ],
)
async def test_who_follows_is_told_what_is_gone(cursor: int, most: int, gone: int | None, found: list[int]) -> None:
    lost, batch = filled(12, size=5).after(cursor, most)
    assert (lost, [stored.id for stored in batch]) == (gone, found)


async def test_everything_may_be_gone() -> None:
    store = RecordStore(5, 1000, 1)
    store.add(GATEWAY, [record(head=b"x" * 2000)] * 3)
    assert store.after(0, 10) == (3, [])


async def test_ids_grow_over_restarts() -> None:
    before = RecordStore(5, 10_000)
    before.add(GATEWAY, [record()] * 5)
    await asyncio.sleep(0.01)
    after = RecordStore(5, 10_000)
    after.add(GATEWAY, [record()])
    assert after.last > before.last
    assert after.last < 2**53
    assert after.after(before.last, 10)[0] is None


async def test_who_waits_is_woken_by_the_next_record_or_the_end() -> None:
    store = filled(1)
    await asyncio.wait_for(store.wait(0), 20)
    waiting = [asyncio.ensure_future(store.wait(1)) for _ in range(2)]
    await asyncio.sleep(0)
    store.add(GATEWAY, [])
    await asyncio.sleep(0)
    assert not any(item.done() for item in waiting)
    store.add(GATEWAY, [record()])
    await asyncio.wait_for(asyncio.gather(*waiting), 20)
    last = asyncio.ensure_future(store.wait(2))
    await asyncio.sleep(0)
    store.close()
    await asyncio.wait_for(last, 20)


async def test_a_record_is_shown_with_its_id_and_who_made_it_but_without_its_head() -> None:
    store = RecordStore(5, 10_000, 7)
    store.add(Reporter("a", "sidecar", "gray", "192.0.2.1:80"), [record(head=b"GET", client_ip="192.0.2.7")])
    [stored] = store
    shown = stored.as_dict()
    assert shown["id"] == 7
    assert shown["reporter"] == {"name": "a", "role": "sidecar", "tag": "gray", "address": "192.0.2.1:80"}
    assert (shown["lane"], shown["status"]) == (None, 200)
    assert not {"head", "client_ip"} & set(shown)
