"""What a lane is doing, over the API and by the command: its drill, its mirror, its schedule, its traffic beside the baseline."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

from click.testing import CliRunner

from gateway.cli import main
from tests.support.gateway import Gateway
from tests.support.origin import Origin
from tests.support.process import get_json
from tests.support.wait import until_found

RULES = """\
lane_groups:
  - name: shop
    services: [a]
    lanes:
      - name: gray
        tag: gray
        match: [{cookie: uid, percent: 50}]
        schedule: {start: 2026-01-01T00:00:00Z, steps: [1, 10], over: 2h}
        guard: {errors: +2%, then: close}
        fault: {delay: 1ms, percent: 100}
        mirror: {percent: 100}
      - {name: plain, tag: blue, match: [{header: X-User, equals: alice}]}
"""


async def run(*arguments: str) -> str:
    result = await asyncio.to_thread(CliRunner().invoke, main, ["lanes", *arguments])
    assert result.exit_code == 0, result.output
    return result.output


async def test_the_api_and_the_command_say_what_a_lane_is_doing(tmp_path: Path, origin: Origin) -> None:
    gateway = Gateway(tmp_path, origin)
    gateway.write("gateway.yaml", gateway.config)
    gateway.write("rules/gray.yaml", RULES)
    await gateway.start("serve", "-c", "gateway.yaml")
    await gateway.wait_ok(gateway.admin)
    server = f"127.0.0.1:{gateway.admin}"
    await gateway.ask("/A/x")

    async def mirrored() -> dict[str, Any] | None:
        lane: dict[str, Any] = (await get_json(gateway.admin, "/api/v1/lanes"))["lanes"][0]
        return lane if sum(lane["mirror"]["results"].values()) == 1 else None

    lane = await until_found(mirrored)
    assert (lane["percent"], [step["percent"] for step in lane["schedule"]["steps"]]) == (50.0, [1.0, 10.0, 50.0])
    assert lane["fault"]["delay"] == 0.001
    shown = json.loads(await run("shop/gray", "--server", server, "-o", "json"))
    assert (shown["lane"]["lane"], shown["lost"], shown["trends"]["step"]) == ("gray", [], 10.0)
    text = await run("shop/gray", "--server", server)
    for part in ("shop/gray: tag gray, open, 50 %", "INJECTED: 100 % of requests are held up 0.001 s",
                 "schedule complete", "then: close", "mirror    100 %"):  # fmt: skip
        assert part in text
    table = await run("--server", server)
    assert "shop/plain" in table
    assert "drill; mirror 100 %; schedule complete" in table
    result = await asyncio.to_thread(CliRunner().invoke, main, ["lanes", "shop/none", "--server", server])
    assert result.exit_code != 0
    assert "there is no lane 'shop/none' (there are: shop/gray, shop/plain)" in result.output
    await gateway.close()
