"""The commands of `gateway release`, asked of a server in this process."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from gateway.cli import main
from gateway.cli.client import Away, ask
from gateway.cli.release import asking
from gateway.release.api.server import ReleaseServer
from tests.support.release import FILES
from tests.support.releases import Bench

pytestmark = pytest.mark.usefixtures("_login")


@pytest.fixture
def _login(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOGNAME", "alice")


@pytest.fixture
async def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Bench]:
    async with Bench(tmp_path) as bench:
        server = ReleaseServer(bench.server)
        server._server.port = 0
        await server.start()
        monkeypatch.setenv("GATEWAY_RELEASE_SERVER", f"127.0.0.1:{server.port}")
        yield bench
        await server.close()


async def release(*arguments: str) -> Result:
    return await asyncio.to_thread(CliRunner().invoke, main, ["release", *arguments])


RUN = ("run", "a=2", "c=5", "--image", "backend=shop:1", "--reason", "new prices")


async def test_a_release_by_hand(bench: Bench) -> None:
    result = await release(*RUN)
    assert result.exit_code == 0, result.output
    assert result.output.splitlines()[0] == "◐ order 1  deploy  RUNNING  c nothing → 5, a nothing → 2"
    await bench.drive(1)
    shown = (await release("get")).output.splitlines()
    assert [line for line in shown if "approve" in line and "‖" in line]
    assert "  taking it back would: close lane demo/gray; a in gray: remove; c in gray: remove" in shown
    assert (await release("status", "--timeout", "0")).exit_code == 1
    assert (await release("approve", "--reason", "fine", "--as", "eve")).exit_code == 1
    assert (await release("approve", "--reason", "fine")).exit_code == 0
    await bench.settle(1)
    result = await release("status", "1", "-o", "json")
    assert (result.exit_code, json.loads(result.output)) == (0, {"order": 1, "state": "SUCCESS"})
    assert "alice" in (await release("history", "a", "--env", "prod")).output
    assert "new prices" in (await release("history", "--audit")).output
    assert "order.approve" in [
        line["action"] for line in json.loads((await release("history", "--audit", "-o", "json")).output)["lines"]
    ]
    assert "1 of 1" in (await release("apps")).output


async def test_every_verb_reaches_the_order(bench: Bench) -> None:
    await release(*RUN)
    for verb, state in (("pause", "SUSPENDED"), ("resume", "RUNNING"), ("abort", "STOPPING")):
        result = await release(verb, "--reason", "why not", "-o", "json")
        assert (result.exit_code, json.loads(result.output)["state"]) == (0, state)
    for verb in ("retry", "skip", "promote", "approve", "refuse"):
        result = await release(verb, "1", "--reason", "why not")
        assert result.exit_code == 1, (verb, result.output)
        assert "returned 4" in result.output
    assert (await release("abort", "--reason", "")).exit_code == 1


async def test_locks(bench: Bench) -> None:
    assert "alice: a sale" in (await release("lock", "prod", "--reason", "a sale")).output
    result = await release(*RUN, "-o", "json")
    assert result.exit_code == 1
    assert "environment 'prod' is locked by alice: a sale" in result.output
    assert "a sale" not in (await release("unlock", "prod", "--reason", "over")).output
    assert [item["lock"] for item in json.loads((await release("envs", "-o", "json")).output)["environments"]] == [
        None,
        None,
    ]


async def test_undo_and_what_differs_from_what_runs(bench: Bench) -> None:
    for version in ("1", "2"):
        await release("run", f"a={version}", "--image", f"backend=shop:{version}", "--reason", "x")
        await bench.settle(int(version))
    config = ("-c", str(bench.config.path))
    same = await release("render", "a", "prod", *config, "--image", "backend=shop:2", "--diff")
    assert (same.exit_code, same.output) == (0, "")
    differs = await release("render", "a", "prod", *config, "--image", "backend=shop:3", "--diff")
    assert "-          image: shop:2\n+          image: shop:3\n" in differs.output
    assert "image: a-backend:dev" in (await release("render", "a", "gray", *config)).output
    result = await release("undo", "a", "prod", "--reason", "errors")
    assert result.output.splitlines()[0] == "◐ order 3  rollback  RUNNING  a 2 → 1"


async def test_watching_ends_with_the_order(bench: Bench) -> None:
    await release(*RUN)
    watching = asyncio.create_task(release("get", "-w", "1"))
    await bench.settle(1)
    assert "✔ order 1" in (await watching).output


@pytest.mark.parametrize("command", [("status", "1", "--timeout", "30"), ("get", "-w", "1")])
async def test_a_release_server_that_starts_anew_meanwhile_ends_no_waiting(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...]
) -> None:
    await release(*RUN)
    asked: list[str] = []

    def restarting(server: str, method: str, path: str, *more: Any, **wants: Any) -> dict[str, Any]:
        asked.append(path)
        if len(asked) in (2, 3):
            raise Away(f"cannot query {server}: Connection refused")
        return ask(server, method, path, *more, **wants)

    monkeypatch.setattr(asking, "ask", restarting)
    waiting = asyncio.create_task(release(*command))
    async with asyncio.timeout(30):
        while len(asked) < 3:
            await asyncio.sleep(0.01)
    await bench.settle(1)
    result = await waiting
    assert (result.exit_code, len(asked) > 3) == (0, True), result.output


async def test_new_applications_from_a_template(bench: Bench) -> None:
    template = FILES["apps/a.yaml"].replace("service-a", "{{ .Values.service }}").replace("calls: [service-b]\n", "")
    body = "parameters: [{name: service}]\nfiles:\n  'apps/{{ .App.name }}.yaml': |\n" + "".join(
        f"    {line}\n" for line in template.splitlines()
    )
    (bench.config.files / "templates").mkdir()
    (bench.config.files / "templates" / "java.yaml").write_text(body)
    arguments = ("shop", "cart", "--template", "java", "--set", "service={app}-service", "-c", str(bench.config.path))
    result = await release("new", *arguments)
    assert result.exit_code == 0, result.output
    assert bench.server.catalog().apps["cart"].value.service == "cart-service"
    assert (await release("new", *arguments)).exit_code == 1


async def test_nobody_there_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    result = await release("get", "--server", "127.0.0.1:1")
    assert result.exit_code == 1
    assert result.output.startswith("cannot query 127.0.0.1:1")


async def test_the_log_of_a_command_is_read_to_its_end(bench: Bench) -> None:
    workflow = "stages: [{name: only, steps: [{run: {command: [sh, -c, 'echo one; echo two']}}]}]\n"
    (bench.config.files / "workflows" / "quick.yaml").write_text(workflow)
    await release("run", "a=1", "--workflow", "quick", "--image", "backend=shop:1", "--reason", "x")
    async with asyncio.timeout(20):
        while 1 in bench.server.ledger.active:
            await bench.server.engine.look(1)
            await asyncio.sleep(0.005)
    assert (await release("logs", "1", "only.1.a")).output == "one\ntwo\n"
    pieces = (await release("logs", "1", "only.1.a", "-o", "json")).output.splitlines()
    assert [json.loads(piece) for piece in pieces] == [{"text": "one\ntwo\n", "next": 8}]
    result = await release("logs", "1", "only.2.a")
    assert (result.exit_code, result.output.splitlines()[0].endswith("order 1 has no task 'only.2.a'")) == (1, True)
    assert json.loads((await release("logs", "a", "prod", "-o", "json")).output) == {"logs": []}
    assert "a has no log in prod yet" in (await release("logs", "a", "prod")).output
