"""The step `lane` with several gateways: those that share their rules are told once, the others each."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.release.mesh import LaneRefused, MeshError
from gateway.release.states import State
from tests.support.releases import Bench, FakeMesh, task_of

ONE, TWO = "127.0.0.1:9900", "127.0.0.1:9901"


class Gateways(FakeMesh):
    """Two gateways. `share`: the second has the rules of the first."""

    def __init__(self, share: bool) -> None:
        super().__init__()
        self.gateways = (ONE, TWO)
        self.share = share
        self.state: dict[str, bool | None] = dict.fromkeys(self.gateways, False)
        self.told_whom: list[str] = []
        self.away = self.refusing = ""

    async def lane_is(self, admin: str, group: str, lane: str) -> bool | None:
        if admin == self.away:
            raise MeshError(f"{admin} cannot be asked: connection refused")
        return self.state[admin]

    async def switch_lane(self, admin: str, group: str, lane: str, enabled: bool, author: str) -> None:
        if admin == self.refusing:
            raise LaneRefused(f"{admin} does not change the lane: a problem in rules/gray.yaml")
        self.told_whom.append(admin)
        for name in self.gateways if self.share else (admin,):
            self.state[name] = enabled


@pytest.mark.parametrize(("share", "told"), [(True, [ONE]), (False, [ONE, TWO])])
async def test_a_lane_opens_at_every_gateway(tmp_path: Path, share: bool, told: list[str]) -> None:
    bench = Bench(tmp_path)
    bench.mesh = mesh = Gateways(share)
    async with bench:
        order = await bench.drive(await bench.run(a="1"))
        assert task_of(order, "lane").state is State.SUCCESS
        assert mesh.state == {ONE: True, TWO: True}
        assert mesh.told_whom == told


async def test_a_lane_that_no_gateway_has_is_said(tmp_path: Path) -> None:
    changed = {
        "workflows/release.yaml": "stages: [{name: s, steps: [{lane: {group: demo, lane: blue, action: open}}]}]\n"
    }
    async with Bench(tmp_path, changed) as bench:
        number = await bench.run(a="1")
        for _ in range(5):
            await bench.server.engine.look(number)
        bench.clock += 121
        order = await bench.drive(number)
        message = "lane demo/blue is not changed: 127.0.0.1:9900 has no lane demo/blue"
        assert (order.state, task_of(order, "lane").message) == (State.FAILED, message)


@pytest.mark.parametrize("fault", ["away", "refusing"])
async def test_a_gateway_in_trouble_does_not_keep_the_traffic_of_the_others_in_the_lane(
    tmp_path: Path, fault: str
) -> None:
    bench = Bench(tmp_path)
    bench.mesh = mesh = Gateways(share=False)
    async with bench:
        number = await bench.run(a="1")
        await bench.drive(number)
        setattr(mesh, fault, ONE)
        await bench.server.actions.abort(number, "alice", "errors everywhere")
        for _ in range(8):
            await bench.server.engine.look(number)
        assert mesh.state == {ONE: True, TWO: False}
        assert bench.target.running() == {"gray a": ["1"]}  # the lane is open still at one of them
        setattr(mesh, fault, "")
        assert (await bench.drive(number)).state is State.CANCELED
        assert (mesh.state, bench.target.running()) == ({ONE: False, TWO: False}, {})


async def test_a_lane_that_is_no_more_holds_no_abort_up(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.mesh = mesh = Gateways(share=True)
    async with bench:
        number = await bench.run(a="1")
        await bench.drive(number)
        mesh.state = dict.fromkeys(mesh.gateways, None)
        await bench.server.actions.abort(number, "alice", "wrong")
        assert (await bench.drive(number)).state is State.CANCELED
