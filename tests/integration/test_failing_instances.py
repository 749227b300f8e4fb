"""Instances that fail on a running gateway: ejection, active checks, panic, and the drain of those that are removed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession, web

from gateway.release.ports import free_port
from tests.support.gateway import Gateway
from tests.support.origin import Origin
from tests.support.process import get_json


class Instance:
    """A small server whose answers can be changed, held back or stopped."""

    def __init__(self) -> None:
        self.port = free_port()
        self.status = 200
        self.fails_every = 0
        self.checks = 0
        self.asked = 0
        self.gate = asyncio.Event()
        self.gate.set()
        self._runner: web.AppRunner | None = None

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    async def _answer(self, request: web.Request) -> web.Response:
        if request.path == "/health":
            self.checks += 1
            return web.Response(status=self.status)
        self.asked += 1
        await self.gate.wait()
        if self.fails_every and self.asked % self.fails_every == 0:
            return web.Response(status=500)
        return web.Response(status=self.status, text=str(self.port))

    async def start(self) -> None:
        app = web.Application()
        app.router.add_get("/{path:.*}", self._answer)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self.port).start()

    async def stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None


@pytest.fixture
async def instances() -> AsyncIterator[list[Instance]]:
    instances = [Instance(), Instance(), Instance(), Instance()]
    for instance in instances:
        await instance.start()
    yield instances
    for instance in instances:
        await instance.stop()


Start = Callable[..., Awaitable[Gateway]]


@pytest.fixture
async def start(tmp_path: Path, origin: Origin, instances: list[Instance]) -> AsyncIterator[Start]:
    """Starts a gateway in front of two baseline instances and one gray, with more settings. The fourth is not known yet."""
    gateway = Gateway(tmp_path, origin)

    async def start(**settings: Any) -> Gateway:
        first, second, gray, _ = instances
        listed = [{"address": first.address}, {"address": second.address}, {"address": gray.address, "tag": "gray"}]
        gateway.config["registry"]["services"]["a"] = listed
        gateway.config.update(settings)
        await gateway.run()
        return gateway

    yield start
    await gateway.close()


async def ejected(gateway: Gateway) -> set[str]:
    (service,) = (await get_json(gateway.admin, "/api/v1/services"))["services"]
    return {item["address"] for pool in service["pools"] for item in pool["instances"] if item["ejected"]}


async def wait_ejected(gateway: Gateway, *expected: Instance) -> None:
    async with asyncio.timeout(10):
        while await ejected(gateway) != {instance.address for instance in expected}:
            await asyncio.sleep(0.02)


async def metric(gateway: Gateway, line: str) -> bool:
    async with ClientSession() as session, session.get(f"http://127.0.0.1:{gateway.admin}/metrics") as response:
        return line in (await response.text()).splitlines()


@pytest.mark.parametrize("workers", [1, 2])
async def test_an_instance_that_answers_with_errors_gets_no_traffic(
    start: Start, instances: list[Instance], workers: int
) -> None:
    gateway = await start(ejection={"errors": 2, "time": "1h", "longest": "1h"}, workers=workers)
    instances[0].status = 500
    async with asyncio.timeout(10):
        while not await ejected(gateway):
            await gateway.ask("/A/x")
    assert await ejected(gateway) == {instances[0].address}
    if workers == 1:  # of several each finds out for itself
        assert {await gateway.ask("/A/x") for _ in range(6)} == {str(instances[1].port)}
        line = 'gateway_ejections_total{cause="errors",listener="entry",service="a",tag="base"} 1.0'
        assert await metric(gateway, line)


async def test_its_time_over_it_gets_traffic_again(start: Start, instances: list[Instance]) -> None:
    gateway = await start(ejection={"errors": 1, "time": "100ms"})
    instances[0].status = 500
    async with asyncio.timeout(10):
        while "is ejected for" not in gateway.log.read_text():
            await gateway.ask("/A/x")
    instances[0].status = 200
    async with asyncio.timeout(10):
        while await gateway.ask("/A/x") != str(instances[0].port):
            await asyncio.sleep(0.01)
    await wait_ejected(gateway)
    assert "gets traffic again" in gateway.log.read_text()


async def test_an_instance_that_has_crashed_is_not_tried_for_every_request(
    start: Start, instances: list[Instance]
) -> None:
    gateway = await start(ejection={"connect_failures": 2, "time": "1h", "longest": "1h"})
    await instances[0].stop()
    answers = {await gateway.ask("/A/x") for _ in range(8)}
    assert answers == {str(instances[1].port)}  # nobody noticed
    assert await ejected(gateway) == {instances[0].address}


async def test_an_instance_that_accepts_and_says_nothing_is_ejected_though_no_request_fails(
    start: Start, instances: list[Instance]
) -> None:
    first, second, *_ = instances
    await first.stop()
    hang_up = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", first.port)
    gateway = await start(ejection={"errors": 2, "time": "1h", "longest": "1h"})
    async with asyncio.timeout(10):
        while not await ejected(gateway):
            assert await gateway.ask("/A/x") == str(second.port)
    assert await ejected(gateway) == {first.address}
    hang_up.close()
    await hang_up.wait_closed()


async def test_a_lane_whose_instances_are_all_out_falls_back_and_says_why(
    start: Start, instances: list[Instance]
) -> None:
    gateway = await start(ejection={"errors": 2, "time": "1h", "longest": "1h", "share": 1})
    instances[2].status = 503
    for _ in range(2):
        await gateway.ask("/A/x?group=gray")
    assert await ejected(gateway) == {instances[2].address}
    assert await gateway.ask("/A/x?group=gray") in {str(instances[0].port), str(instances[1].port)}
    line = 'gateway_lane_fallbacks_total{listener="entry",reason="ejected",service="a",tag="gray"} 1.0'
    assert await metric(gateway, line)


async def test_a_client_that_asks_for_nonsense_ejects_nobody(start: Start, instances: list[Instance]) -> None:
    gateway = await start(ejection={"errors": 2})
    for instance in instances:
        instance.status = 404
    for _ in range(12):
        await gateway.ask("/A/x")
    assert await ejected(gateway) == set()


async def test_errors_now_and_then_eject_nobody(start: Start, instances: list[Instance]) -> None:
    gateway = await start(ejection={"errors": 2})
    instances[0].fails_every = 2
    for _ in range(20):
        await gateway.ask("/A/x")
    assert instances[0].asked == 10
    assert await ejected(gateway) == set()


async def replace_second(gateway: Gateway, first: Instance, new: Instance) -> None:
    gateway.config["registry"]["services"]["a"] = [{"address": first.address}, {"address": new.address}]
    gateway.write("gateway.yaml", gateway.config)
    async with asyncio.timeout(10):
        while new.address not in str(await get_json(gateway.admin, "/api/v1/services")):
            await asyncio.sleep(0.02)


async def test_a_new_instance_starts_slowly(start: Start, instances: list[Instance]) -> None:
    gateway = await start(services={"a": {"slow_start": "1h"}})
    first, _, _, new = instances
    await replace_second(gateway, first, new)
    answers = [await gateway.ask("/A/x") for _ in range(22)]
    assert answers.count(str(new.port)) == 2


async def test_a_new_instance_gets_its_whole_share_in_the_end(start: Start, instances: list[Instance]) -> None:
    gateway = await start(services={"a": {"slow_start": "300ms"}})
    first, _, _, new = instances
    await replace_second(gateway, first, new)
    async with asyncio.timeout(10):
        while [await gateway.ask("/A/x") for _ in range(20)].count(str(new.port)) != 10:
            await asyncio.sleep(0.02)


async def test_active_checks_take_out_and_let_in_again(start: Start, instances: list[Instance]) -> None:
    check = {"path": "/health", "interval": "20ms", "failures": 2, "passes": 2}
    gateway = await start(services={"a": {"check": check}})
    instances[1].status = 503
    await wait_ejected(gateway, instances[1])
    assert instances[1].asked == 0  # no request had to fail for it
    assert {await gateway.ask("/A/x") for _ in range(4)} == {str(instances[0].port)}
    instances[1].status = 200
    await wait_ejected(gateway)
    # Checks end with a reload that has none.
    gateway.config["services"] = {}
    gateway.write("gateway.yaml", gateway.config)
    await gateway.wait_revision(2)
    checks = instances[1].checks
    instances[1].status = 503
    for _ in range(3):
        await gateway.ask("/A/x?group=gray")
    assert instances[1].checks <= checks + 1  # one may have been under way
    assert await ejected(gateway) == set()


async def test_a_removed_instance_finishes_what_it_has_and_gets_nothing_new(
    start: Start, instances: list[Instance]
) -> None:
    gateway = await start(timeouts={"upstream_idle": "1h"})
    first, second, gray, _ = instances
    first.gate.clear()
    second.gate.clear()
    held = [asyncio.create_task(gateway.ask("/A/x")) for _ in range(2)]
    async with asyncio.timeout(10):
        while not (first.asked and second.asked):
            await asyncio.sleep(0.01)
    gateway.config["registry"]["services"]["a"] = [{"address": second.address}, {"address": gray.address}]
    gateway.write("gateway.yaml", gateway.config)
    await gateway.wait_revision(2)
    second.gate.set()
    assert first.asked == 1
    assert {await gateway.ask("/A/x") for _ in range(6)} == {str(second.port), str(gray.port)}
    assert first.asked == 1
    assert await metric(gateway, f'gateway_upstream_connections{{address="{first.address}",state="draining"}} 1.0')
    first.gate.set()
    async with asyncio.timeout(10):
        assert sorted(await asyncio.gather(*held)) == sorted([str(first.port), str(second.port)])
        # And its connection does not stay open.
        while True:
            async with ClientSession() as session, session.get(f"http://127.0.0.1:{gateway.admin}/metrics") as response:
                if f'address="{first.address}"' not in await response.text():
                    break
            await asyncio.sleep(0.02)


async def test_an_instance_whose_host_cannot_be_looked_up_is_passed_over(
    start: Start, instances: list[Instance]
) -> None:
    gateway = await start(timeouts={"connect": "1s"})
    gateway.config["registry"]["services"]["a"] = [{"address": "a..b:80"}, {"address": instances[0].address}]
    gateway.write("gateway.yaml", gateway.config)
    async with asyncio.timeout(10):
        while "a..b" not in str(await get_json(gateway.admin, "/api/v1/services")):
            await asyncio.sleep(0.02)
        for _ in range(6):
            assert await gateway.ask("/A/x") == str(instances[0].port)
