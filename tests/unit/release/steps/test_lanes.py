"""The step `lane` with several gateways: those that share their rules are told once, the others each."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.release.states import State
from tests.support.releases import Bench, FakeMesh, task_of

ONE, TWO = "127.0.0.1:9900", "127.0.0.1:9901"


class Gateways(FakeMesh):
    """Two gateways. `share`: the second has the rules of the first."""

    def __init__(self, share: bool) -> None:
        super().__init__()
        self.gateways = (ONE, TWO)
        self.share = share
        self.state = dict.fromkeys(self.gateways, False)
        self.told_whom: list[str] = []

    async def lane_is(self, group: str, lane: str) -> dict[str, bool | None]:
        return dict(self.state)

    async def switch_lane(self, admin: str, group: str, lane: str, enabled: bool, author: str) -> None:
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
