"""`gateway registry status|list|watch` on a running gateway."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.gateway import Gateway
from tests.support.origin import Origin


@pytest.fixture
async def gateway(tmp_path: Path, origin: Origin) -> AsyncIterator[Gateway]:
    gateway = Gateway(tmp_path, origin)
    await gateway.run()
    yield gateway
    await gateway.close()


async def run(*arguments: str) -> tuple[int, str, str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "gateway", "registry", *arguments,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    async with asyncio.timeout(20):
        output, errors = await process.communicate()
    return process.returncode or 0, output.decode(), errors.decode()


async def test_status_and_list_for_people_and_programs(gateway: Gateway, origin: Origin) -> None:
    server = ("--server", f"127.0.0.1:{gateway.admin}")
    _, table, _ = await run("status", *server)
    assert table.splitlines()[1].split() == ["static", "static", "1", "0"]
    _, text, _ = await run("status", *server, "-o", "json")
    assert json.loads(text)["registries"][0]["kind"] == "static"
    _, table, _ = await run("list", *server)
    assert table.splitlines()[1].split()[:7] == ["a", "1/1", "base,", "1/1", "gray", "static", "fresh"]
    _, table, _ = await run("list", "a", *server)
    assert f"127.0.0.1:{origin.ports['gray']}" in table
    _, text, _ = await run("list", "a", "-o", "json", *server)
    assert [pool["tag"] for pool in json.loads(text)["services"][0]["pools"]] == ["base", "gray"]


async def test_what_is_not_there_is_said_so(gateway: Gateway) -> None:
    code, _, errors = await run("list", "nobody", "--server", f"127.0.0.1:{gateway.admin}")
    assert code == 1
    assert "knows no service 'nobody'" in errors
    code, _, errors = await run("watch", "--server", "127.0.0.1:1")
    assert code == 1
    assert "cannot ask 127.0.0.1:1" in errors


async def test_watch_prints_what_is_known_and_then_what_changes(gateway: Gateway, origin: Origin) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "gateway", "registry", "watch", "-o", "json", "--server", f"127.0.0.1:{gateway.admin}",
        stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout is not None

    async def change() -> tuple[str, str, str]:
        assert process.stdout is not None
        found = json.loads(await process.stdout.readline())
        assert found["service"] == "a"
        return found["change"], found["subject"], found["is"]

    base, gray = (f"127.0.0.1:{origin.ports[name]}" for name in ("base", "gray"))
    try:
        async with asyncio.timeout(20):
            first = {await change() for _ in range(3)}
            assert first == {
                ("+", base, "base, weight 1"), ("+", gray, "gray, weight 1"), ("+", "registry static", "fresh")
            }  # fmt: skip
            gateway.config["registry"]["services"]["a"] = [{"address": base, "weight": 2}]
            gateway.write("gateway.yaml", gateway.config)
            assert {await change() for _ in range(2)} == {("~", base, "base, weight 2"), ("-", gray, "gray, weight 1")}
    finally:
        process.kill()
        await process.wait()
