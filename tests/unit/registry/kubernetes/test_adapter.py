"""Services of a cluster, through an API server that fails as told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from gateway.errors import RegistryError
from gateway.kubernetes import collection
from gateway.kubernetes.client import ApiClient
from gateway.kubernetes.credentials import FileToken
from gateway.registry.base import Listing
from gateway.registry.keeper import Keeper
from gateway.registry.kubernetes.adapter import LARGE, KubernetesAdapter
from tests.support.apiserver import PODS, SLICES, ApiServer, a_pod, a_slice, endpoint, status
from tests.support.wait import until

A = a_slice("a", endpoint("10.0.0.1", "a-1"))


@pytest.fixture
async def server() -> AsyncIterator[ApiServer]:
    server = ApiServer()
    await server.start()
    yield server
    await server.stop()


@pytest.fixture
async def adapter(server: ApiServer) -> AsyncIterator[KubernetesAdapter]:
    adapter = KubernetesAdapter(ApiClient(server.access()))
    yield adapter
    await adapter.close()


def shown(listing: Listing) -> list[tuple[str, str]]:
    return [(item.address, item.tag) for item in listing.instances if item.is_usable]


async def comes(watch: AsyncGenerator[Listing, None], expected: list[tuple[str, str]]) -> None:
    """Waits for a list; equal ones may be repeated before it."""
    async with asyncio.timeout(10):
        while shown(await anext(watch)) != expected:
            pass


async def fails(watch: AsyncGenerator[Listing, None]) -> RegistryError:
    async with asyncio.timeout(10):
        while True:
            try:
                await anext(watch)
            except RegistryError as error:
                return error


async def test_a_change_of_a_slice_and_of_a_label_is_told(server: ApiServer, adapter: KubernetesAdapter) -> None:
    server.items[SLICES], server.items[PODS] = [A], [a_pod("a-1")]
    watch = adapter.watch("a")
    assert shown(await anext(watch)) == [("10.0.0.1:8080", "base")]
    await until(lambda: server.is_watched(SLICES) and server.is_watched(PODS))
    server.send(PODS, "MODIFIED", a_pod("a-1", lane="gray"))
    await comes(watch, [("10.0.0.1:8080", "gray")])
    server.send(PODS, "ADDED", a_pod("a-2"))
    server.send(SLICES, "MODIFIED", a_slice("a", endpoint("10.0.0.2", "a-2")))
    await comes(watch, [("10.0.0.2:8080", "base")])
    server.send(SLICES, "DELETED", a_slice("a", endpoint("10.0.0.2", "a-2")))
    await comes(watch, [])
    await watch.aclose()


async def test_whose_pod_has_ended_or_was_told_to_is_known_to_be_no_more(
    server: ApiServer, adapter: KubernetesAdapter
) -> None:
    """Though it is in no slice any more; one whose pod lives may come back."""
    pods = [a_pod("a-1"), a_pod("a-2"), a_pod("a-3")]
    endpoints = [endpoint(f"10.0.0.{number}", f"a-{number}") for number in (1, 2, 3)]
    server.items[SLICES], server.items[PODS] = [a_slice("a", *endpoints)], list(pods)
    watch = adapter.watch("a")
    known = (await anext(watch)).instances
    await until(lambda: server.is_watched(SLICES) and server.is_watched(PODS))
    server.send(SLICES, "MODIFIED", a_slice("a"))
    async with asyncio.timeout(10):
        while (listing := await anext(watch)).instances:
            pass
    assert not any(map(listing.is_gone, known))
    server.send(PODS, "DELETED", pods[0])
    assert await anext(watch) == listing  # which is news all the same
    assert [listing.is_gone(item) for item in known] == [True, False, False]
    leaving = a_pod("a-2")
    leaving["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    server.send(PODS, "MODIFIED", leaving)
    await anext(watch)
    assert [listing.is_gone(item) for item in known] == [True, True, False]
    (query,) = [query for _, path, query in server.requests if path == PODS and "watch" not in query]
    assert query["fieldSelector"] == "status.phase!=Succeeded,status.phase!=Failed"


async def test_many_services_share_one_watch(server: ApiServer, adapter: KubernetesAdapter) -> None:
    server.items[SLICES] = [a_slice(f"s{number}") for number in range(20)]
    watches = [adapter.watch(f"s{number}") for number in range(20)]
    await asyncio.gather(*(anext(watch) for watch in watches))
    assert (server.lists(SLICES), server.lists(PODS)) == (1, 1)
    for watch in watches:
        await watch.aclose()


async def test_a_service_of_another_namespace(server: ApiServer, adapter: KubernetesAdapter) -> None:
    other = SLICES.replace("shop", "bank")
    server.items[other] = [A]
    server.items[PODS.replace("shop", "bank")] = [a_pod("a-1")]
    for name in ("a.bank", "a.bank.svc", "a.bank.svc.cluster.local"):
        watch = adapter.watch(name)
        assert shown(await anext(watch)) == [("10.0.0.1:8080", "base")]
        await watch.aclose()
    with pytest.raises(RegistryError, match=r"'a\.b\.example': `name` or `name\.namespace` is needed"):
        await anext(adapter.watch("a.b.example"))


async def test_rbac_that_refuses_pods_is_said_and_gives_no_list(server: ApiServer, adapter: KubernetesAdapter) -> None:
    """Without labels every gray pod would be baseline."""
    server.items[SLICES] = [A]
    server.refusals[PODS] = [(403, status(403, "Forbidden", "pods is forbidden"))] * 9
    with pytest.raises(
        RegistryError, match="pods is forbidden; get, list and watch of endpointslices and pods"
    ) as error:
        await anext(adapter.watch("a"))
    assert error.value.reason == "auth"


async def test_a_server_that_goes_and_comes_back_is_told_and_loses_nothing(
    server: ApiServer, adapter: KubernetesAdapter
) -> None:
    server.items[SLICES], server.items[PODS] = [A], [a_pod("a-1")]
    watch = adapter.watch("a")
    await anext(watch)
    await until(lambda: server.is_watched(SLICES) and server.is_watched(PODS))
    await server.stop()
    assert (await fails(watch)).reason == "unreachable"
    await server.start()

    async def listed() -> bool:
        try:
            return shown(await anext(adapter.watch("a"))) == [("10.0.0.1:8080", "base")]
        except RegistryError:
            return False

    while not await listed():
        await asyncio.sleep(0.02)
    assert server.lists(SLICES) == 1, "the resource version is as good as before"


async def test_a_server_that_is_away_for_minutes_changes_nothing_and_what_changed_meanwhile_is_found(
    server: ApiServer, adapter: KubernetesAdapter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A hundred tries, which take a quarter of an hour otherwise."""
    tries = 0

    async def at_once(_: float) -> None:
        nonlocal tries
        tries += 1
        await real_sleep(0)

    real_sleep = asyncio.sleep
    changes: list[list[str]] = []
    server.items[SLICES], server.items[PODS] = [A], [a_pod("a-1")]
    keeper = Keeper(adapter, lambda _, found: changes.append([item.tag for item in found]))
    keeper.watch("a")
    await until(lambda: server.is_watched(SLICES) and server.is_watched(PODS) and changes == [["base"]])
    monkeypatch.setattr(collection, "asyncio", SimpleNamespace(**{**vars(asyncio), "sleep": at_once}))
    await server.stop()
    await until(lambda: tries > 100)
    (state,) = keeper.states()
    assert (state.state, len(state.instances), changes) == ("stale", 1, [["base"]])
    # It has a new history: the resource version means nothing to it.
    for path in (SLICES, PODS):
        server.watch_refusals[path] = [(410, status(410, "Expired"))]
    server.items[PODS] = [a_pod("a-1", lane="gray")]
    await server.start()
    await until(lambda: changes[-1:] == [["gray"]] and keeper.states()[0].state == "fresh")
    await keeper.close()


async def test_a_token_that_expires_while_a_watch_is_open_is_replaced_without_a_word(
    server: ApiServer, tmp_path: Path
) -> None:
    file = tmp_path / "token"
    file.write_text("old")
    server.items[SLICES], server.items[PODS] = [A], [a_pod("a-1")]
    adapter = KubernetesAdapter(ApiClient(server.access(FileToken(file))))
    watch = adapter.watch("a")
    assert shown(await anext(watch)) == [("10.0.0.1:8080", "base")]
    await until(lambda: server.is_watched(SLICES) and server.is_watched(PODS))
    file.write_text("new")
    for path in (SLICES, PODS):
        server.watch_refusals[path] = [(401, status(401, "Unauthorized"))]
    server.end_watches()
    await until(
        lambda: server.tokens[-2:] == ["Bearer new"] * 2 and server.is_watched(SLICES) and server.is_watched(PODS)
    )
    server.send(PODS, "MODIFIED", a_pod("a-1", lane="gray"))
    await comes(watch, [("10.0.0.1:8080", "gray")])
    assert (server.lists(SLICES), server.lists(PODS)) == (1, 1)
    await adapter.close()


@pytest.mark.parametrize("way", ["status", "event"])
async def test_a_resource_version_that_is_too_old_is_followed_by_a_list_and_what_went_is_found(
    server: ApiServer, adapter: KubernetesAdapter, way: str
) -> None:
    server.items[SLICES] = [A, a_slice("b", endpoint("10.0.0.9", "b-1"))]
    server.items[PODS] = [a_pod("a-1"), a_pod("b-1")]
    watch = adapter.watch("b")
    assert shown(await anext(watch)) == [("10.0.0.9:8080", "base")]
    await until(lambda: server.is_watched(SLICES) and server.is_watched(PODS))
    server.items[SLICES] = [A]
    if way == "status":
        server.watch_refusals[SLICES] = [(410, status(410, "Expired"))]
        server.end_watches()
    else:
        server.send(SLICES, "ERROR", status(410, "Expired"))
    await comes(watch, [])
    await watch.aclose()
    assert server.lists(SLICES) == 2


async def test_an_external_name_has_no_instances_and_says_so(server: ApiServer, adapter: KubernetesAdapter) -> None:
    server.refusals["/api/v1/namespaces/shop/services/pay"] = [(200, {"spec": {"type": "ExternalName"}})]
    with pytest.raises(RegistryError, match="service pay of namespace shop is of type ExternalName"):
        await anext(adapter.watch("pay"))


async def test_a_service_that_is_not_there_has_no_instances(server: ApiServer, adapter: KubernetesAdapter) -> None:
    watch = adapter.watch("nobody")
    assert (await anext(watch)).instances == ()
    await watch.aclose()


async def test_lists_come_in_pages(server: ApiServer, adapter: KubernetesAdapter) -> None:
    server.page = 2
    server.items[SLICES] = [a_slice("a", endpoint(f"10.0.0.{n}", f"a-{n}"), name=f"a-{n}") for n in range(1, 6)]
    server.items[PODS] = [a_pod(f"a-{n}") for n in range(1, 6)]
    watch = adapter.watch("a")
    assert len((await anext(watch)).instances) == 5
    await watch.aclose()
    assert server.lists(SLICES) == 3


async def test_a_relist_of_thousands_is_one_list_of_each_kind_and_tells_only_those_that_have_changed(
    server: ApiServer, adapter: KubernetesAdapter
) -> None:
    """5,000 endpoints of 50 services, and the resource version is too old: one of them has changed meanwhile."""
    items = {
        f"s{service}": [endpoint(f"10.{service}.0.{number}", f"s{service}-{number}") for number in range(1, 101)]
        for service in range(50)
    }
    server.items[SLICES] = [a_slice(name, *endpoints) for name, endpoints in items.items()]
    server.items[PODS] = [a_pod(str(item["targetRef"]["name"])) for endpoints in items.values() for item in endpoints]
    lists = dict.fromkeys(items, 0)

    async def follow(name: str) -> None:
        async for listing in adapter.watch(name):
            assert len(listing.instances) >= 99
            lists[name] += 1

    tasks = [asyncio.create_task(follow(name)) for name in items]
    await until(lambda: all(lists.values()) and server.is_watched(SLICES) and server.is_watched(PODS))
    before = dict(lists)
    server.items[SLICES][7] = a_slice("s7", *items["s7"][1:])
    listed = server.lists(SLICES), server.lists(PODS)
    server.send(SLICES, "ERROR", status(410, "Expired"))
    await until(lambda: lists["s7"] > before["s7"])
    await until(lambda: server.lists(SLICES) == listed[0] + 1)
    assert server.lists(PODS) == listed[1]
    assert {name for name in items if lists[name] > before[name]} == {"s7"}
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def test_many_pods_that_change_one_by_one_are_told_in_few_lists(
    server: ApiServer, adapter: KubernetesAdapter
) -> None:
    """A rollout of thousands: a list of them all for each would take the whole core."""
    count = 2 * LARGE
    names = [f"a-{number}" for number in range(count)]
    endpoints = [endpoint(f"10.1.{number // 250}.{number % 250}", name) for number, name in enumerate(names)]
    server.items[SLICES] = [a_slice("a", *endpoints)]
    server.items[PODS] = [a_pod(name) for name in names]
    watch = adapter.watch("a")
    assert len((await anext(watch)).instances) == count
    await until(lambda: server.is_watched(SLICES) and server.is_watched(PODS))
    for name in names:
        server.send(PODS, "MODIFIED", a_pod(name, lane="gray"))
    lists = 0
    async with asyncio.timeout(30):
        while any(item.tag != "gray" for item in (await anext(watch)).instances):
            lists += 1
    await watch.aclose()
    assert lists < count / 10


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ((401, status(401, "Unauthorized")), "auth"),
        ((429, status(429, "TooManyRequests")), "warming"),
        ((503, status(503, "ServiceUnavailable")), "warming"),
        ((404, status(404, "NotFound")), "api"),
        ((200, {"items": []}), "bad_response"),
        ((200, [1]), "bad_response"),
        ((500, "no status"), "bad_response"),
    ],
)
async def test_what_else_is_no_list(
    server: ApiServer, adapter: KubernetesAdapter, answer: tuple[int, object], reason: str
) -> None:
    server.refusals[SLICES] = [answer] * 9
    with pytest.raises(RegistryError) as error:
        await anext(adapter.watch("a"))
    assert error.value.reason == reason


async def test_events_in_pieces_and_junk(server: ApiServer, adapter: KubernetesAdapter) -> None:
    server.items[SLICES], server.items[PODS] = [A], [a_pod("a-1")]
    watch = adapter.watch("a")
    await anext(watch)
    await until(lambda: server.is_watched(SLICES) and server.is_watched(PODS))
    server._watches[PODS].put_nowait({"raw": b'{"type": "MODIFIED", "object": {"metadata": {"uid": "uid-'})
    server._watches[PODS].put_nowait({"raw": b'a-1", "labels": {"lane": "blue"}}}}\n'})
    await comes(watch, [("10.0.0.1:8080", "blue")])
    server._watches[PODS].put_nowait({"raw": b"junk\n"})
    assert "is not JSON" in str(await fails(watch))
