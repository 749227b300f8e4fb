"""A process that is stopped (SIGSTOP) behind a connection that many requests share: its kernel still takes what it is sent."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path

from gateway.hop import PROTOCOL_KEY, SIDECAR_KEY
from gateway.instance import Instance
from gateway.release.ports import free_port
from tests.support.bounds import RetryBudget
from tests.support.gateway import Gateway
from tests.support.h2origin import H2Origin
from tests.support.origin import Origin
from tests.support.process import Program
from tests.support.proxy import Proxy
from tests.support.wait import until

H2C = {"protocol": "h2c"}
OTHER = """
import asyncio
from tests.support.h2origin import H2Origin

async def main():
    origin = H2Origin()
    await origin.start()
    print(origin.port, flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""


async def test_a_frozen_instance_fails_no_request_that_may_be_repeated_and_holds_up_none_that_come_later() -> None:
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", OTHER, stdout=asyncio.subprocess.PIPE)
    assert process.stdout is not None
    port = int(await process.stdout.readline())
    origin = H2Origin()
    await origin.start()
    proxy = Proxy()
    proxy.budget = RetryBudget(attempts=2, share=1.0, minimum=100.0)
    await proxy.serve(*(Instance("127.0.0.1", at, metadata=H2C) for at in (port, origin.port)))
    try:
        assert {(await proxy.get("/A/x")).status for _ in range(4)} == {200}
        os.kill(process.pid, signal.SIGSTOP)
        held = [asyncio.create_task(proxy.get("/A/held")) for _ in range(8)]
        address = f"127.0.0.1:{port}"
        frozen = next(found for key, found in proxy.origins._others.items() if key[0] == address)
        (session,) = frozen._sessions  # type: ignore[attr-defined]
        await until(lambda: bool(session.streams))
        await until(lambda: session.room == 0, "the instance to be doubted", timeout=30)
        waiting = len(session.streams)
        assert {(await proxy.get("/A/later")).status for _ in range(4)} == {200}
        assert len(session.streams) <= waiting, "none of them has joined those that wait"
        assert [(await task).status for task in held] == [200] * 8
    finally:
        os.kill(process.pid, signal.SIGCONT)
        process.kill()
        await process.wait()
        await proxy.close()
        await origin.close()


async def sidecar(folder: Path, tag: str, app: int) -> tuple[Program, int]:
    """A running sidecar of service `a` in front of an application, and its inbound port."""
    program = Program(folder)
    folder.mkdir()
    inbound, admin = free_port(), free_port()
    program.write(
        "sidecar.yaml",
        {
            "service": "a",
            "tag": tag,
            "app": f"127.0.0.1:{app}",
            "inbound": f"127.0.0.1:{inbound}",
            "outbound": f"127.0.0.1:{free_port()}",
            "admin": f"127.0.0.1:{admin}",
            "registry": {"kind": "static", "services": {}},
        },
    )
    await program.start("sidecar", "-c", "sidecar.yaml")
    await program.wait_ok(admin, "/livez")
    return program, inbound


async def test_requests_of_a_lane_go_to_its_other_instance_if_a_sidecar_is_frozen(
    tmp_path: Path, origin: Origin
) -> None:
    """With the default settings, and without a request outside the lane at the lane's instances."""
    tags = ("base", "gray", "gray")
    started = [await sidecar(tmp_path / str(at), tag, origin.ports[tag]) for at, tag in enumerate(tags)]
    entry = Gateway(tmp_path, origin)
    metadata = {SIDECAR_KEY: "a", PROTOCOL_KEY: "h2c"}
    entry.config["registry"]["services"]["a"] = [
        {"address": f"127.0.0.1:{port}", "tag": tag, "metadata": metadata}
        for (_, port), tag in zip(started, tags, strict=True)
    ]
    frozen = started[1][0]
    try:
        await entry.run()
        # Both have a connection that has carried something: neither is a new one.
        assert {await entry.ask("/A/x?group=gray") for _ in range(4)} == {"gray GET /x?group=gray"}
        frozen.send(signal.SIGSTOP)
        asked = await asyncio.gather(
            *(entry.ask("/A/x?group=gray") for _ in range(8)), *(entry.ask("/A/x") for _ in range(8))
        )
        assert asked == ["gray GET /x?group=gray"] * 8 + ["base GET /x"] * 8
        counted = await entry.wait_ok(entry.admin, "/metrics")
        assert 'kind="unresponsive",listener="entry",service="a",tag="gray"} 4.0' in counted
        assert "gateway_fallbacks_total{" not in counted
    finally:
        frozen.send(signal.SIGCONT)
        for program in (entry, *(program for program, _ in started)):
            await program.close()
