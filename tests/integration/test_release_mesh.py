"""What the release server asks of a real gateway: lanes opened and closed, who is known, and what is counted."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gateway.release.mesh import LaneRefused, Mesh, MeshError
from gateway.release.steps.verify import count
from tests.support.gateway import RULES, Gateway
from tests.support.origin import Origin

PERCENT = RULES.replace("enabled: true", "enabled: false").replace(
    "equals: gray}]", "equals: gray}, {cookie: user, percent: 5}]"
)


@pytest.fixture
async def gateway(tmp_path: Path, origin: Origin) -> AsyncIterator[Gateway]:
    gateway = Gateway(tmp_path, origin)
    await gateway.run()
    yield gateway
    await gateway.close()


@pytest.fixture
async def mesh(gateway: Gateway) -> AsyncIterator[Mesh]:
    mesh = Mesh([f"127.0.0.1:{gateway.admin}"])
    yield mesh
    await mesh.close()


async def until_lane(mesh: Mesh, is_open: bool) -> None:
    async with asyncio.timeout(20):
        while await mesh.lane_is(mesh.gateways[0], "demo", "gray") is not is_open:
            await asyncio.sleep(0.02)


async def test_a_lane_is_closed_and_opened_and_its_share_set(gateway: Gateway, mesh: Mesh, tmp_path: Path) -> None:
    admin = mesh.gateways[0]
    await mesh.switch_lane(admin, "demo", "gray", False, "алиса (order 3)")
    await until_lane(mesh, False)
    assert await mesh.percent_of(admin, "demo", "gray") is None
    with pytest.raises(LaneRefused, match="no percent condition"):
        await mesh.set_percent(admin, "demo", "gray", 20, "alice")
    (tmp_path / "rules" / "gray.yaml").write_text(PERCENT)
    async with asyncio.timeout(20):
        while await mesh.percent_of(admin, "demo", "gray") != 5:
            await asyncio.sleep(0.02)
    await mesh.set_percent(admin, "demo", "gray", 12.5, "alice")
    await mesh.switch_lane(admin, "demo", "gray", True, "alice")
    await until_lane(mesh, True)
    assert await mesh.percent_of(admin, "demo", "gray") == 12.5
    assert await mesh.lane_is(admin, "demo", "blue") is None


async def test_a_gateway_whose_rules_have_a_problem_refuses_and_says_why(
    gateway: Gateway, mesh: Mesh, tmp_path: Path
) -> None:
    (tmp_path / "rules" / "gray.yaml").write_text(RULES + "    nope: 1\n")
    await gateway.wait_reload_error()
    with pytest.raises(LaneRefused, match="does not change the lane"):
        await mesh.switch_lane(mesh.gateways[0], "demo", "gray", False, "alice")


async def test_who_knows_an_instance_is_read_off_the_services_it_lists(
    gateway: Gateway, mesh: Mesh, origin: Origin
) -> None:
    known = f"127.0.0.1:{origin.ports['gray']}"
    wanted = {known: "a", "127.0.0.1:1": "a", "127.0.0.1:2": "never-called"}
    assert await mesh.not_knowing(wanted, []) == {
        known: [],
        "127.0.0.1:1": list(mesh.gateways),
        "127.0.0.1:2": [],  # who does not route to it need not know it
    }


async def test_what_gateways_count_is_read_by_tag(gateway: Gateway, mesh: Mesh) -> None:
    for target in ("/A/x", "/A/x?group=gray", "/A/x?group=gray"):
        await gateway.ask(target)
    counted = count(await mesh.samples(mesh.gateways[0]), {"a"}, {"base", "gray"})
    assert (counted["base"]["requests"], counted["gray"]["requests"]) == (1, 2)
    assert counted["gray"]["+Inf"] == 2


async def test_nobody_there_is_an_error_that_names_the_address() -> None:
    mesh = Mesh(["127.0.0.1:1"])
    with pytest.raises(MeshError, match=r"127\.0\.0\.1:1 cannot be asked"):
        await mesh.lane_is("127.0.0.1:1", "demo", "gray")
    await mesh.close()
