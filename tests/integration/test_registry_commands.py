"""`gateway registry status|list|watch` on a running gateway."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.gateway import Gateway
from tests.support.origin import Origin
from tests.support.process import Program, run
from tests.support.wait import until


@pytest.fixture
async def gateway(tmp_path: Path, origin: Origin) -> AsyncIterator[Gateway]:
    gateway = Gateway(tmp_path, origin)
    await gateway.run()
    yield gateway
    await gateway.close()


async def test_status_and_list_for_people_and_programs(gateway: Gateway, origin: Origin) -> None:
    server = ("--server", f"127.0.0.1:{gateway.admin}")
    _, table, _ = await run("registry", "status", *server)
    assert table.splitlines()[1].split() == ["static", "static", "1", "0"]
    _, text, _ = await run("registry", "status", *server, "-o", "json")
    assert json.loads(text)["registries"][0]["kind"] == "static"
    _, table, _ = await run("registry", "list", *server)
    assert table.splitlines()[1].split()[:7] == ["a", "1/1", "base,", "1/1", "gray", "static", "fresh"]
    _, table, _ = await run("registry", "list", "a", *server)
    assert f"127.0.0.1:{origin.ports['gray']}" in table
    _, text, _ = await run("registry", "list", "a", "-o", "json", *server)
    assert [pool["tag"] for pool in json.loads(text)["services"][0]["pools"]] == ["base", "gray"]


async def test_what_is_not_there_is_said_so(gateway: Gateway) -> None:
    code, _, errors = await run("registry", "list", "nobody", "--server", f"127.0.0.1:{gateway.admin}")
    assert code == 1
    assert "does not know service 'nobody'" in errors
    code, _, errors = await run("registry", "watch", "--server", "127.0.0.1:1")
    assert code == 1
    assert "cannot query 127.0.0.1:1" in errors


async def test_watch_prints_what_is_known_and_then_what_changes(
    gateway: Gateway, origin: Origin, tmp_path: Path
) -> None:
    watch = Program(tmp_path)
    watch.log = tmp_path / "changes"
    base, gray = (f"127.0.0.1:{origin.ports[name]}" for name in ("base", "gray"))

    async def changes(first: int, end: int) -> set[tuple[str, str, str]]:
        """What its lines from one number to another say."""
        await until(lambda: watch.log.read_text().count("\n") >= end, f"{end} changes")
        found = [json.loads(line) for line in watch.log.read_text().splitlines()[first:end]]
        assert {change["service"] for change in found} == {"a"}
        return {(change["change"], change["subject"], change["is"]) for change in found}

    await watch.start("registry", "watch", "-o", "json", "--server", f"127.0.0.1:{gateway.admin}")
    try:
        assert await changes(0, 3) == {
            ("+", base, "base, weight 1"), ("+", gray, "gray, weight 1"), ("+", "registry static", "fresh")
        }  # fmt: skip
        gateway.config["registry"]["services"]["a"] = [{"address": base, "weight": 2}]
        gateway.write("gateway.yaml", gateway.config)
        assert await changes(3, 5) == {("~", base, "base, weight 2"), ("-", gray, "gray, weight 1")}
    finally:
        await watch.close()
