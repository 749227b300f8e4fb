"""Live data of running programs: requests over workers, chains over sidecars, and what goes on after a restart."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession

from gateway.registry.embedded.server import EmbeddedRegistry
from tests.integration.test_sidecar import TRACE, Sidecar, traceparent
from tests.support.gateway import Gateway
from tests.support.origin import Origin
from tests.support.process import get_json
from tests.support.wait import until_found


@pytest.fixture
async def gateway(tmp_path: Path, origin: Origin) -> AsyncIterator[Gateway]:
    gateway = Gateway(tmp_path / "gateway", origin)
    (tmp_path / "gateway").mkdir()
    yield gateway
    await gateway.close()


async def requests(port: int, count: int, query: str = "") -> list[dict[str, Any]]:
    """The latest records, as soon as there are so many."""

    async def found() -> list[dict[str, Any]] | None:
        records: list[dict[str, Any]] = (await get_json(port, f"/api/v1/requests{query}"))["requests"]
        return records if len(records) >= count else None

    return await until_found(found)


async def test_requests_of_all_workers_are_shown_and_explained(gateway: Gateway) -> None:
    gateway.config["workers"] = 2
    gateway.config["records"] = {"params": ["group"]}
    await gateway.run()
    for number in range(10):
        await gateway.ask(f"/A/{number}?group=gray&card=4111")
    await gateway.ask("/A/x")
    found = await requests(gateway.admin, 11)
    assert sorted(item["path"] for item in found) == sorted([*(f"/A/{number}" for number in range(10)), "/A/x"])
    assert len({item["id"] for item in found}) == 11
    assert "4111" not in json.dumps(found)
    first = next(item for item in found if item["path"] == "/A/0")
    assert (first["lane"], first["pool"], first["params"]) == ("gray", "gray", {"group": "gray"})
    assert first["duration_us"] >= first["upstream_us"] > 0
    explained = await get_json(gateway.admin, f"/api/v1/requests/{first['id']}/explain")
    assert (explained["agrees"], explained["missing"]) == (True, [])
    [lane] = explained["lanes"]
    assert (lane["winner"], lane["conditions"][0]["value"]) == (True, "gray")
    [other] = await requests(gateway.admin, 1, "?path=/A/x")
    assert (other["lane"], other["pool"]) == (None, "base")


async def test_a_chain_over_gateway_and_sidecar(
    gateway: Gateway, tmp_path: Path, origin: Origin, registry: EmbeddedRegistry
) -> None:
    """The sidecar delivers what it saw; its own admin API is asked by nobody."""
    sidecar = Sidecar(tmp_path, origin, registry)
    sidecar.config["records"] = {"collector": f"127.0.0.1:{gateway.admin}"}
    gateway.config["registry"] = {"kind": "static", "services": {"b": [{"address": f"127.0.0.1:{sidecar.inbound}"}]}}
    gateway.config["routes"] = [{"path": "/B", "service": "b"}]
    try:
        await gateway.run()
        await sidecar.run()
        async with ClientSession() as session:
            url = f"http://127.0.0.1:{gateway.port}/B/x?group=gray"
            async with session.get(url, headers=[traceparent()]) as response:
                assert response.status == 200
        # As the application does it, which forwards the trace and no tag.
        await sidecar.call(sidecar.outbound, traceparent())

        async def whole() -> dict[str, Any] | None:
            async with ClientSession() as session:
                async with session.get(f"http://127.0.0.1:{gateway.admin}/api/v1/chains/{TRACE}") as response:
                    found: dict[str, Any] = await response.json()
            return found if response.status == 200 and found["path"] == ["b → c gray"] else None

        [entry] = (await until_found(whole))["hops"]
        assert (entry["tag"], entry["fallback"], entry["tag_lost"]) == ("gray", "not_in_group", False)
        assert entry["arrival"]["reporter"] == {
            "name": "b",
            "role": "sidecar",
            "tag": "base",
            "address": f"127.0.0.1:{sidecar.inbound}",
        }
        [call] = entry["calls"]
        assert (call["tag_source"], call["pool"], call["tag_lost"]) == ("trace", "gray", False)
        assert [item["listener"] for item in await requests(sidecar.admin, 2)] == ["outbound", "inbound"]
    finally:
        await sidecar.close()


@pytest.mark.parametrize("workers", [1, 2])
async def test_differences_that_mirrors_find_are_shown_whoever_found_them(gateway: Gateway, workers: int) -> None:
    """The origin names its port in the body. A lane that mirrors may be added while the gateway runs."""
    gateway.config["workers"] = workers
    await gateway.run()
    lane = (
        "{name: gray, tag: gray, match: [{param: group, equals: gray}], mirror: {percent: 100, compare: {body: bytes}}}"
    )
    gateway.write("rules/gray.yaml", f"lane_groups: [{{name: demo, lanes: [{lane}]}}]\n")

    async def found() -> list[dict[str, Any]] | None:
        await gateway.ask("/A/x?card=4111")
        mirrored: list[dict[str, Any]] = (await get_json(gateway.admin, "/api/v1/mirrors"))["mirrored"]
        return mirrored or None

    first = (await until_found(found))[0]
    assert {name: first[name] for name in ("lane", "service", "tag", "method", "path")} == {
        "lane": "demo/gray",
        "service": "a",
        "tag": "gray",
        "method": "GET",
        "path": "/x",
    }
    assert [item["what"] for item in first["differences"]] == ["body"]
