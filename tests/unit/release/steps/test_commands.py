"""The steps `build` and `run`: once, whatever happens to the server, and with their exit code."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

import pytest

from gateway.release.order import Order
from gateway.release.plan import Wish
from gateway.release.states import State
from gateway.release.steps.commands import command_of
from tests.support.release import FILES
from tests.support.releases import Bench, Killed, task_of

APP = FILES["apps/a.yaml"] + "source: {folder: sources}\n"


def workflow(step: str) -> dict[str, str | None]:
    return {
        "workflows/release.yaml": f"stages:\n  - name: only\n    steps:\n      - {step}\n",
        "apps/a.yaml": APP,
        "sources/shop.py": "print('shop')\n",
    }


async def follow(bench: Bench, number: int) -> Order:
    """Looks until the order has ended or failed."""
    async with asyncio.timeout(20):
        while (order := bench.server.ledger.active.get(number)) is not None and order.state is not State.FAILED:
            await bench.server.engine.look(number)
            await asyncio.sleep(0.005)
    found = await bench.store.order(number)
    assert found is not None
    return found


async def begin(bench: Bench) -> int:
    order = await bench.server.run(Wish({"a": "7"}, "alice", "a test", images={(None, "backend"): "shop:7"}))
    return order.id


async def test_a_command_runs_with_what_it_has_to_know(tmp_path: Path) -> None:
    step = 'run: {command: [sh, -c, "echo $APPLICATION $VERSION $ORDER"]}'
    async with Bench(tmp_path, workflow(step)) as bench:
        order = await follow(bench, await begin(bench))
        assert order.state is State.SUCCESS
        assert (bench.server.runs / "1" / "only.1.a.1.log").read_text() == "a 7 1\n"


async def test_one_that_fails_stops_the_order_and_says_why_and_a_retry_runs_it_again(tmp_path: Path) -> None:
    step = 'run: {command: [sh, -c, "test -e ../mended || { echo broken >&2; exit 4; }"]}'
    async with Bench(tmp_path, workflow(step)) as bench:
        order = await follow(bench, await begin(bench))
        assert task_of(order, "run").message == "sh ended with 4; its log ends: broken"
        (tmp_path / "mended").touch()
        await bench.server.actions.retry(order.id, "alice", "mended")
        assert (await follow(bench, order.id)).state is State.SUCCESS


async def test_one_that_takes_too_long_is_ended(tmp_path: Path) -> None:
    async with Bench(tmp_path, workflow("run: {command: [sleep, '60'], timeout: 5s}")) as bench:
        number = await begin(bench)
        for _ in range(4):
            await bench.server.engine.look(number)
        bench.clock += 6
        order = await follow(bench, number)
        assert task_of(order, "run").message == "sleep took more than 5 s"


@pytest.mark.parametrize("moment", ["before", "after"])
async def test_killed_in_the_middle_it_is_not_run_twice(tmp_path: Path, moment: str) -> None:
    step = (
        f'run: {{command: [sh, -c, "echo once >> {tmp_path}/ran; until test -e {tmp_path}/go; do sleep 0.01; done"]}}'
    )
    for at in (2, 3, 4):
        folder = tmp_path / f"{at}"
        (tmp_path / "ran").unlink(missing_ok=True)
        (tmp_path / "go").unlink(missing_ok=True)
        bench = Bench(folder, workflow(step))
        await bench.begin()
        number = await begin(bench)
        bench.store.dies_at = (at, moment)
        if at == 4:  # its end is one more thing to note
            (tmp_path / "go").touch()
        with pytest.raises(Killed):
            await follow(bench, number)
        await bench.store.close()
        (tmp_path / "go").touch()
        await bench.begin()
        assert (await follow(bench, number)).state is State.SUCCESS
        assert (tmp_path / "ran").read_text() == "once\n"
        await bench.server.stop()


async def test_an_abort_ends_what_runs(tmp_path: Path) -> None:
    async with Bench(tmp_path, workflow("run: {command: [sleep, '60']}")) as bench:
        number = await begin(bench)
        for _ in range(4):
            await bench.server.engine.look(number)
        await bench.server.actions.abort(number, "alice", "wrong one")
        assert (await follow(bench, number)).state is State.CANCELED


async def test_a_build_makes_an_image_of_the_sources(tmp_path: Path) -> None:
    step = 'build: {command: [sh, -c, "echo $IMAGE > built"]}'
    async with Bench(tmp_path, workflow(step)) as bench:
        order = await follow(bench, await begin(bench))
        assert (order.state, task_of(order, "build").message) == (State.SUCCESS, "built shop:7")
        image = bench.server.images / "shop@7"
        assert ((image / "built").read_text(), (image / "shop.py").exists()) == ("shop:7\n", True)


async def test_sources_in_git_are_cloned_at_their_revision(tmp_path: Path) -> None:
    if shutil.which("git") is None:
        pytest.skip("there is no git here")
    script = (
        "git init -q -b main . && git config user.email a@b && git config user.name a && echo 1 > shop && git add . && "
        "git commit -qm one && git tag v1 && echo 2 > shop && git commit -qam two"
    )
    (tmp_path / "repository").mkdir()
    process = await asyncio.create_subprocess_exec("sh", "-c", script, cwd=tmp_path / "repository")
    assert await process.wait() == 0
    source = f"source: {{git: 'file://{tmp_path}/repository', revision: v1}}\n"
    changed = workflow("build: {command: [cat, shop]}") | {"apps/a.yaml": FILES["apps/a.yaml"] + source}
    async with Bench(tmp_path / "bench", changed) as bench:
        order = await follow(bench, await begin(bench))
        assert order.state is State.SUCCESS, task_of(order, "build").message
        assert (bench.server.images / "shop@7" / "shop").read_text() == "1\n"


async def test_a_dockerfile_without_an_engine_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    async with Bench(tmp_path, workflow("build: {dockerfile: Dockerfile}")) as bench:
        order = await follow(bench, await begin(bench))
        assert task_of(order, "build").message.startswith(
            "a Dockerfile is built by docker or podman, and neither is here"
        )


STUBBORN = """run: {command: [sh, -c, "trap '' TERM; while :; do sleep 0.05; done"], timeout: 60s}"""


async def test_what_does_not_end_when_told_holds_no_abort_up(tmp_path: Path) -> None:
    async with Bench(tmp_path, workflow(STUBBORN)) as bench:
        number = await begin(bench)
        for _ in range(4):
            await bench.server.engine.look(number)
        await bench.server.actions.abort(number, "alice", "wrong one")
        await bench.server.engine.look(number)
        bench.clock += 6
        assert (await follow(bench, number)).state is State.CANCELED


async def test_what_takes_too_long_is_gone_before_it_can_be_retried(tmp_path: Path) -> None:
    async with Bench(tmp_path, workflow(STUBBORN)) as bench:
        number = await begin(bench)
        for _ in range(4):
            await bench.server.engine.look(number)
        bench.clock += 61
        await bench.server.engine.look(number)
        order = bench.server.ledger.active[number]
        assert (order.state, task_of(order, "run").message) == (
            State.RUNNING,
            "sh took more than 60 s, and is being stopped",
        )
        bench.clock += 6
        order = await follow(bench, number)
        assert task_of(order, "run").message == "sh took more than 60 s"
        assert not command_of(bench.server.runs, order, task_of(order, "run")).is_running


async def test_a_version_that_was_taken_back_before_it_ran_is_not_given_once_more(tmp_path: Path) -> None:
    """Its image is there: the next order would run it, and not what has been mended since."""
    async with Bench(tmp_path, workflow("build:")) as bench:
        first = await bench.server.run(Wish({"a": None}, "alice", "a test"))
        assert (await follow(bench, first.id)).state is State.SUCCESS
        (bench.config.files / "sources" / "shop.py").write_text("print('mended')")
        second = await bench.server.run(Wish({"a": None}, "alice", "a test"))
        assert (await follow(bench, second.id)).state is State.SUCCESS
        image = second.releases["a"].images["backend"].replace(":", "@")
        assert (second.releases["a"].version, (bench.server.images / image / "shop.py").read_text()) == (
            "2",
            "print('mended')",
        )
