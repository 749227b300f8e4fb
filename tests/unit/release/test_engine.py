"""Orders at work: a train of two applications, its faults, and the server killed at every point."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from gateway.errors import ConfigError
from gateway.release.actions import NotAllowed, Outdated
from gateway.release.ledger import Conflict, Locked, NotThere
from gateway.release.states import NotNow, State
from gateway.release.store import Change, Hold, VersionRecord
from tests.support.release import WORKFLOW
from tests.support.releases import Bench, Killed, states, task_of


async def test_a_train_goes_from_gray_to_production_and_leaves_nothing_gray(tmp_path: Path) -> None:
    async with Bench(tmp_path) as bench:
        number = await bench.run(a="1", c="1")
        order = await bench.settle(number)
        assert order.state is State.SUCCESS
        assert set(states(order).values()) == {"SUCCESS"}
        assert bench.target.running() == {"prod a": ["1"], "prod c": ["1"]}
        assert bench.mesh.told == ["open", "close"]
        assert [item.rpartition(" ")[0] for item in bench.target.started] == [
            "gray c 1", "gray a 1", "prod c 1", "prod a 1",
        ]  # fmt: skip
        assert [item["state"] for item in bench.server.describe_environments()] == ["RUNNING", "RUNNING"]


async def test_a_train_is_one_job_an_application_and_one_for_what_is_done_once(tmp_path: Path) -> None:
    async with Bench(tmp_path) as bench:
        order = await bench.drive(await bench.run(a="1", c="1"))
        jobs = {job["job"]: [stage["stage"] for stage in job["stages"]] for job in order.view()["jobs"]}
        assert jobs == {
            "c": ["gray", "production", "cleanup"],
            "a": ["gray", "production", "cleanup"],
            "train": ["gray", "production", "cleanup"],
        }
        assert order.view()["next"] == "deploy (stage production)"
        assert order.view()["take_back"] == ["close lane demo/gray", "a in gray: remove", "c in gray: remove"]


async def test_the_lane_opens_only_when_its_instances_are_known_to_everybody(tmp_path: Path) -> None:
    async with Bench(tmp_path) as bench:
        number = await bench.run(a="1")
        bench.mesh.unknown = {"service-a"}
        for _ in range(50):
            await bench.server.engine.look(number)
        order = bench.server.ledger.active[number]
        assert (bench.mesh.is_open, task_of(order, "deploy").state) == (False, State.RUNNING)
        bench.mesh.unknown = set()
        await bench.drive(number)
        assert bench.mesh.is_open


async def test_cleanup_waits_for_what_is_in_flight(tmp_path: Path) -> None:
    async with Bench(tmp_path) as bench:
        number = await bench.run(a="1")
        bench.mesh.busy = 3
        assert (await bench.settle(number)).state is State.SUCCESS
        assert bench.mesh.busy == 0


async def test_what_never_ends_holds_cleanup_up_for_its_time_only(tmp_path: Path) -> None:
    async with Bench(tmp_path) as bench:
        number = await bench.run(a="1")
        await bench.drive(number)
        await bench.server.actions.abort(number, "alice", "enough")
        bench.mesh.busy = 10**9
        for _ in range(10):
            await bench.server.engine.look(number)
        [task] = [task for task in bench.server.ledger.active[number].current() if task.kind == "restore"]
        assert task.message.startswith("waits for ")
        bench.clock += 601
        assert (await bench.drive(number)).state is State.CANCELED


async def kills_of(folder: Path) -> int:
    """How often an order writes."""
    async with Bench(folder) as bench:
        await bench.settle(await bench.run(a="1", c="1"))
        return bench.store.writes


@pytest.mark.parametrize("moment", ["before", "after"])
async def test_killed_at_any_write_it_goes_on_and_does_nothing_twice(tmp_path: Path, moment: str) -> None:
    """Kill -9 before and after each write of the whole order: the next server comes to the very same end."""
    writes = await kills_of(tmp_path / "count")
    assert writes > 20
    for at in range(2, writes + 1):
        bench = Bench(tmp_path / f"{at}")
        await bench.begin()
        number = await bench.run(a="1", c="1")
        bench.store.dies_at = (at, moment)
        with pytest.raises(Killed):
            await bench.settle(number)
        await bench.store.close()  # the file is let go of; nothing else is done
        await bench.begin()
        order = await bench.settle(number)
        assert order.state is State.SUCCESS, (at, states(order))
        assert bench.target.running() == {"prod a": ["1"], "prod c": ["1"]}, at
        assert sorted(bench.target.started) == sorted(f"{place} {n}" for n, place in enumerate(
            ["gray c 1", "gray a 1", "prod c 1", "prod a 1"], 1
        )), at  # fmt: skip
        assert bench.mesh.told == ["open", "close"], at
        assert len(task_of(order, "approve").approvals) == 1
        assert sorted((item.environment, item.application) for item in await bench.store.versions() if item.version) == [
            ("gray", "a"), ("gray", "c"), ("prod", "a"), ("prod", "c"),
        ][2:]  # fmt: skip
        await bench.server.stop()


@pytest.mark.parametrize("effect", ["apply", "scale", "remove", "lane"])
async def test_killed_right_before_any_effect_it_goes_on(tmp_path: Path, effect: str) -> None:
    bench = Bench(tmp_path)
    await bench.begin()
    number = await bench.run(a="1", c="1")
    left = [1]

    def dies(what: str) -> None:
        if what == effect and left:
            left.pop()
            raise Killed

    bench.target.before = bench.mesh.before = dies
    with pytest.raises(Killed):
        await bench.settle(number)
    await bench.store.close()
    await bench.begin()
    assert (await bench.settle(number)).state is State.SUCCESS
    assert bench.target.running() == {"prod a": ["1"], "prod c": ["1"]}
    await bench.server.stop()


async def test_a_second_order_on_an_environment_is_a_conflict_that_names_the_first(tmp_path: Path) -> None:
    async with Bench(tmp_path) as bench:
        first = await bench.run(a="1")
        with pytest.raises(Conflict) as caught:
            await bench.run(c="1")
        assert str(caught.value) == f"environment 'gray' is a part of order {first} (a, by alice), which is RUNNING"
        assert len(await bench.store.orders(10)) == 1


async def test_a_locked_environment_takes_no_order_until_it_is_unlocked(tmp_path: Path) -> None:
    async with Bench(tmp_path) as bench:
        await bench.server.actions.lock("prod", "bob", "a sale is on")
        with pytest.raises(Locked, match="environment 'prod' is locked by bob: a sale is on"):
            await bench.run(a="1")
        with pytest.raises(NotNow, match="locked already, by bob"):
            await bench.server.actions.lock("prod", "eve", "me too")
        await bench.server.actions.unlock("prod", "bob", "over")
        await bench.run(a="1")


async def test_who_may_not_approve_is_refused_and_changes_nothing(tmp_path: Path) -> None:
    async with Bench(tmp_path) as bench:
        number = await bench.run(a="1")
        await bench.drive(number)
        with pytest.raises(NotAllowed, match=r"eve may not approve production\.1\.a; alice may"):
            await bench.server.actions.vote(number, "eve", "let me", True)
        assert task_of(bench.server.ledger.active[number], "approve").approvals == []


async def test_a_refusal_stops_the_order_and_it_can_be_taken_back(tmp_path: Path) -> None:
    async with Bench(tmp_path) as bench:
        number = await bench.run(a="1")
        await bench.drive(number)
        await bench.server.actions.vote(number, "alice", "not on a Friday", False)
        await bench.server.engine.look(number)
        order = await bench.drive(number)
        assert (order.state, task_of(order, "approve").message) == (State.FAILED, "alice refused: not on a Friday")
        assert bench.mesh.is_open
        await bench.server.actions.abort(number, "alice", "next week")
        order = await bench.drive(number)
        assert order.state is State.CANCELED
        assert (bench.target.running(), bench.mesh.told) == ({}, ["open", "close"])


async def test_an_approval_expires(tmp_path: Path) -> None:
    async with Bench(tmp_path) as bench:
        number = await bench.run(a="1")
        await bench.drive(number)
        bench.clock += 86_401
        await bench.server.engine.look(number)
        order = await bench.drive(number)
        assert (order.state, task_of(order, "approve").message) == (State.FAILED, "nobody approved within 86400 s")


async def test_an_abort_gives_traffic_back_before_it_removes_anything(tmp_path: Path) -> None:
    async with Bench(tmp_path) as bench:
        number = await bench.run(a="1", c="1")
        await bench.drive(number)
        seen: list[str] = []
        bench.target.before = bench.mesh.before = seen.append
        await bench.server.actions.abort(number, "alice", "a bad feeling")
        order = await bench.drive(number)
        assert order.state is State.CANCELED
        assert seen[0] == "lane"
        assert bench.target.running() == {}


async def test_an_abort_in_production_brings_the_old_version_back(tmp_path: Path) -> None:
    async with Bench(tmp_path) as bench:
        await bench.settle(await bench.run(a="1"))
        number = await bench.run(a="2")
        await bench.drive(number)
        await bench.server.actions.vote(number, "alice", "go", True)
        for _ in range(40):
            if bench.target.running().get("prod a") == ["1", "2"]:
                break
            await bench.server.engine.look(number)
        await bench.server.actions.abort(number, "alice", "too slow")
        order = await bench.drive(number)
        assert order.state is State.CANCELED
        assert bench.target.running() == {"prod a": ["1"]}


BATCHES = """\
stages:
  - name: production
    steps:
      - deploy: {environment: prod, strategy: {type: batch, batches: 2, confirm: CONFIRM, timeout: 10m, on_timeout: TIMEOUT}}
"""


def batches(confirm: str = "none", on_timeout: str = "keep") -> dict[str, str | None]:
    return {
        "workflows/release.yaml": BATCHES.replace("CONFIRM", confirm).replace("TIMEOUT", on_timeout),
        "environments/prod.yaml": "level: prod\nvalues: {replicas: 4}\n",
    }


async def test_a_batch_asks_before_the_next_one(tmp_path: Path) -> None:
    async with Bench(tmp_path, batches("first")) as bench:
        await bench.settle(await bench.run(a="1"))
        number = await bench.run(a="2")
        order = await bench.drive(number)
        assert task_of(order, "deploy").message == "batch 1 of 2 is done: promote to go on"
        assert bench.target.running() == {"prod a": ["1", "1", "2", "2"]}
        await bench.server.actions.promote(number, "alice", "looks fine")
        await bench.server.engine.look(number)
        assert (await bench.drive(number)).state is State.SUCCESS
        assert bench.target.running() == {"prod a": ["2"] * 4}


async def test_a_version_that_never_gets_ready_stops_the_order_and_everything_stays(tmp_path: Path) -> None:
    async with Bench(tmp_path, batches()) as bench:
        await bench.settle(await bench.run(a="1"))
        bench.target.broken = {"2"}
        number = await bench.run(a="2")
        for _ in range(10):
            await bench.server.engine.look(number)
        bench.clock += 601
        order = await bench.drive(number)
        assert order.state is State.FAILED
        message = "batch 1 of 2 was not done within 600 s: instance 5 (0 restarts): it ended unexpectedly"
        assert task_of(order, "deploy").message == message
        assert bench.target.running() == {"prod a": ["1", "1", "1", "1", "2", "2"]}


async def test_or_rolls_back_where_it_says_so(tmp_path: Path) -> None:
    async with Bench(tmp_path, batches(on_timeout="rollback")) as bench:
        await bench.settle(await bench.run(a="1"))
        bench.target.broken = {"2"}
        number = await bench.run(a="2")
        for _ in range(10):
            await bench.server.engine.look(number)
        bench.clock += 601
        order = await bench.drive(number)
        assert task_of(order, "deploy").message.startswith("rolled back: batch 1 of 2 was not done within 600 s")
        assert bench.target.running() == {"prod a": ["1", "1", "1", "1"]}


async def test_one_application_failing_leaves_the_others_as_they_are(tmp_path: Path) -> None:
    async with Bench(
        tmp_path, {"workflows/release.yaml": WORKFLOW.replace("gray}", "gray, strategy: {timeout: 1m}}", 1)}
    ) as bench:
        bench.target.broken = {"bad"}
        number = await bench.run(a="bad", c="1")
        for _ in range(20):
            await bench.server.engine.look(number)
        bench.clock += 61
        order = await bench.drive(number)
        assert (states(order)["gray.1.a"], states(order)["gray.1.c"], order.state) == (
            "FAILED",
            "SUCCESS",
            State.FAILED,
        )
        assert bench.target.running()["gray c"] == ["1"]
        bench.target.broken = set()
        await bench.server.actions.retry(number, "alice", "the disk was full")
        assert (await bench.settle(number)).state is State.SUCCESS


async def test_a_failed_task_may_be_left_out_or_the_order_closed_as_it_is(tmp_path: Path) -> None:
    async with Bench(tmp_path) as bench:
        bench.mesh.refuses = "a problem in rules/gray.yaml"
        number = await bench.run(a="1")
        for _ in range(20):
            await bench.server.engine.look(number)
        bench.clock += 121
        order = await bench.drive(number)
        assert task_of(order, "lane").message == "lane demo/gray is not changed: a problem in rules/gray.yaml"
        assert not bench.mesh.is_open
        await bench.server.actions.skip(number, "alice", "opened by hand")
        order = await bench.drive(number)
        assert (order.state, task_of(order, "lane").state) == (State.RUNNING, State.SKIPPED)
        await bench.server.actions.vote(number, "alice", "no", False)
        await bench.server.engine.look(number)
        await bench.server.actions.abort(number, "alice", "leave it", keep=True)
        assert (await bench.drive(number)).state is State.CANCELED
        assert bench.target.running() == {"gray a": ["1"]}


async def test_suspended_nothing_new_is_begun(tmp_path: Path) -> None:
    async with Bench(tmp_path) as bench:
        number = await bench.run(a="1")
        await bench.server.actions.suspend(number, "alice", "wait")
        assert await bench.server.engine.look(number) is None
        assert bench.target.started == []
        with pytest.raises(NotNow, match="an order that is SUSPENDED cannot suspend; it can: resume, stop"):
            await bench.server.actions.suspend(number, "alice", "wait")
        await bench.server.actions.resume(number, "alice", "go")
        assert (await bench.settle(number)).state is State.SUCCESS


async def test_a_database_that_is_away_loses_nothing(tmp_path: Path) -> None:
    async with Bench(tmp_path) as bench:
        number = await bench.run(a="1")
        bench.store.is_away = "disk I/O error"
        with pytest.raises(Exception, match="disk I/O error"):
            await bench.server.engine.look(number)
        with pytest.raises(Exception, match="disk I/O error"):
            await bench.server.actions.abort(number, "alice", "now")
        assert bench.server.ledger.active[number].state is State.RUNNING
        bench.store.is_away = ""
        assert (await bench.settle(number)).state is State.SUCCESS


async def test_a_bug_in_a_step_shows_and_ends_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with Bench(tmp_path) as bench:
        number = await bench.run(a="1")

        def breaks(_: str) -> None:
            raise KeyError("oh")

        bench.target.before = breaks
        for _ in range(5):
            await bench.server.engine.look(number)
        order = bench.server.ledger.active[number]
        assert task_of(order, "deploy").message == "the release server has a fault here; its log says more"
        bench.target.before = lambda _: None
        assert (await bench.settle(number)).state is State.SUCCESS


async def test_a_gateway_that_is_away_for_a_while_is_waited_for(tmp_path: Path) -> None:
    async with Bench(tmp_path) as bench:
        number = await bench.run(a="1")
        bench.mesh.is_away = True
        for _ in range(20):
            await bench.server.engine.look(number)
        order = bench.server.ledger.active[number]
        assert task_of(order, "deploy").message == "127.0.0.1:9900 cannot be asked: connection refused"
        bench.mesh.is_away = False
        assert (await bench.settle(number)).state is State.SUCCESS


async def test_undo_brings_an_earlier_version_back(tmp_path: Path) -> None:
    async with Bench(tmp_path) as bench:
        for version in ("1", "2", "3"):
            await bench.settle(await bench.run(a=version))
        order = await bench.server.undo("a", "prod", None, "alice", "errors")
        assert (await bench.drive(order.id)).state is State.SUCCESS
        assert bench.target.running() == {"prod a": ["2"]}
        order = await bench.server.undo("a", "prod", "1", "alice", "errors")
        assert (await bench.drive(order.id)).releases["a"].before == {"prod": "2"}
        assert bench.target.running() == {"prod a": ["1"]}
        with pytest.raises(Exception, match=r"a has no version 9 in prod to go back to \(it had: 1, 2, 3\)"):
            await bench.server.undo("a", "prod", "9", "alice", "errors")


@pytest.mark.parametrize("on_failure", ["ask", "abort"])
async def test_a_verification_that_fails_asks_or_takes_everything_back(tmp_path: Path, on_failure: str) -> None:
    probe = f"      - verify: {{probes: [{{path: /}}], on_failure: {on_failure}}}\n"
    workflow = WORKFLOW.replace("action: open}\n", "action: open}\n" + probe)
    async with Bench(tmp_path, {"workflows/release.yaml": workflow}) as bench:
        order = await bench.drive(await bench.run(a="1"))  # nobody listens at the entry
        assert task_of(order, "verify").message.startswith(
            "10 of 10 requests to / were not as they should be; the first: no"
        )
        if on_failure == "ask":
            assert (order.state, bench.target.running(), bench.mesh.is_open) == (State.FAILED, {"gray a": ["1"]}, True)
        else:
            assert (order.state, bench.target.running(), bench.mesh.is_open) == (State.CANCELED, {}, False)


async def test_a_pause_ends_by_itself_or_by_a_person(tmp_path: Path) -> None:
    for step in ("pause: {duration: 10m}", "pause:"):
        workflow = f"stages:\n  - name: only\n    steps:\n      - {step}\n"
        async with Bench(tmp_path / step[:7], {"workflows/release.yaml": workflow}) as bench:
            number = await bench.run(a="1")
            assert task_of(await bench.drive(number), "pause").state is State.SUSPENDED
            if "duration" in step:
                bench.clock += 601
            else:
                await bench.server.actions.promote(number, "alice", "go on")
            await bench.server.engine.look(number)
            assert (await bench.drive(number)).state is State.SUCCESS


async def test_cleanup_may_forget_the_environment_too(tmp_path: Path) -> None:
    workflow = WORKFLOW.replace(
        "- cleanup: {environment: gray}", "- cleanup: {environment: gray, and_environment: true}"
    )
    async with Bench(tmp_path, {"workflows/release.yaml": workflow}) as bench:
        assert (await bench.settle(await bench.run(a="1"))).state is State.SUCCESS
        assert [item["state"] for item in bench.server.describe_environments()] == ["NEW", "RUNNING"]
        assert {item.environment for item in await bench.store.versions()} == {"prod"}


async def test_a_lane_opens_at_its_percentage(tmp_path: Path) -> None:
    workflow = WORKFLOW.replace("lane: gray, action: open}", "lane: gray, action: open, percent: 20}")
    async with Bench(tmp_path, {"workflows/release.yaml": workflow}) as bench:
        bench.mesh.percent = 5.0
        await bench.drive(await bench.run(a="1"))
        assert (bench.mesh.is_open, bench.mesh.percent) == (True, 20.0)


async def test_files_that_somebody_works_on_do_not_stop_what_is_under_way(tmp_path: Path) -> None:
    async with Bench(tmp_path) as bench:
        number = await bench.run(a="1")
        (bench.config.files / "workflows" / "release.yaml").write_text("stages: [\n")
        assert (await bench.settle(number)).state is State.SUCCESS
        with pytest.raises(ConfigError):
            await bench.run(a="2")


async def test_every_action_is_in_the_audit_log_with_who_and_why(tmp_path: Path) -> None:
    async with Bench(tmp_path) as bench:
        number = await bench.run(a="1")
        await bench.drive(number)
        await bench.server.actions.vote(number, "alice", "looks fine", True)
        await bench.server.actions.abort(number, "bob", "changed my mind")
        said = [(line.actor, line.action, line.reason) for line in await bench.store.audit(order=number)]
        assert ("alice", "order.deploy", "a test") in said
        assert ("alice", "order.approve", "looks fine") in said
        assert said[-1] == ("bob", "order.stop", "changed my mind")


async def test_retried_halfway_or_released_again_it_never_has_fewer_instances_than_before(tmp_path: Path) -> None:
    async with Bench(tmp_path, batches()) as bench:
        least = [4]

        async def watched(number: int) -> State:
            for _ in range(100):
                order = bench.server.ledger.active.get(number)
                if order is None or order.state is State.FAILED:
                    break
                await bench.server.engine.look(number)
                least[0] = min(least[0], len(bench.target.running()["prod a"]))
            found = await bench.store.order(number)
            assert found is not None
            return found.state

        await bench.settle(await bench.run(a="1"))
        number = await bench.run(a="2")
        while bench.target.running()["prod a"].count("2") < 4:  # the second batch has begun
            await bench.server.engine.look(number)
        bench.mesh.unknown = {"service-a"}
        await bench.server.engine.look(number)
        bench.clock += 601
        assert await watched(number) is State.FAILED
        bench.mesh.unknown = set()
        await bench.server.actions.retry(number, "alice", "again")
        assert await watched(number) is State.SUCCESS
        assert await watched(await bench.run(a="2")) is State.SUCCESS  # what runs already
        assert (least, bench.target.running()) == ([4], {"prod a": ["2"] * 4})


async def test_while_a_person_is_asked_no_batch_runs_out_of_time(tmp_path: Path) -> None:
    async with Bench(tmp_path, batches("first", "rollback")) as bench:
        await bench.settle(await bench.run(a="1"))
        number = await bench.run(a="2")
        await bench.drive(number)
        bench.clock += 3600
        bench.mesh.unknown = {"service-a"}  # one of them fails for a moment
        await bench.server.engine.look(number)
        order = bench.server.ledger.active[number]
        assert (task_of(order, "deploy").state, "goes_back" in task_of(order, "deploy").memory) == (
            State.RUNNING,
            False,
        )
        bench.mesh.unknown = set()
        assert (await bench.settle(number)).state is State.SUCCESS


async def test_while_an_order_is_paused_no_batch_runs_out_of_time(tmp_path: Path) -> None:
    async with Bench(tmp_path, batches()) as bench:
        bench.mesh.unknown = {"service-a"}
        number = await bench.run(a="1")
        for _ in range(10):
            await bench.server.engine.look(number)
        await bench.server.actions.suspend(number, "alice", "lunch")
        bench.clock += 3600
        await bench.server.actions.resume(number, "alice", "back")
        await bench.server.engine.look(number)
        assert task_of(bench.server.ledger.active[number], "deploy").state is State.RUNNING
        bench.mesh.unknown = set()
        assert (await bench.drive(number)).state is State.SUCCESS


async def test_an_old_version_that_does_not_come_back_fails_the_taking_back_in_time(tmp_path: Path) -> None:
    async with Bench(tmp_path, batches()) as bench:
        await bench.settle(await bench.run(a="1"))
        number = await bench.run(a="2")
        while "1" in bench.target.running()["prod a"]:
            await bench.server.engine.look(number)
        bench.target.broken = {"1"}
        await bench.server.actions.abort(number, "alice", "wrong")
        for _ in range(10):
            await bench.server.engine.look(number)
        bench.clock += 601
        order = await bench.drive(number)
        message = "0 of 4 instances of 1 are back after 600 s: instance 9 (0 restarts): it ended unexpectedly"
        assert (order.state, order.tasks[-1].message) == (State.FAILED, message)
        await bench.server.actions.abort(number, "alice", "leave it so", keep=True)


async def test_retried_and_taken_back_at_once_it_leaves_nothing_of_what_failed(tmp_path: Path) -> None:
    async with Bench(tmp_path, batches()) as bench:
        bench.target.broken = {"1"}
        number = await bench.run(a="1")
        for _ in range(10):
            await bench.server.engine.look(number)
        bench.clock += 601
        await bench.drive(number)
        await bench.server.actions.retry(number, "alice", "again")
        await bench.server.actions.abort(number, "alice", "or not")
        assert (await bench.drive(number)).state is State.CANCELED
        assert bench.target.running() == {}


async def test_what_runs_is_known_however_much_was_released_since(tmp_path: Path) -> None:
    """Whoever forgets it takes a failed release back by removing what runs."""
    async with Bench(tmp_path, batches()) as bench:
        await bench.settle(await bench.run(b="7"))
        other = VersionRecord("prod", "a", 0, "1", {}, {}, "", "alice", "why", 1.0)
        await bench.store.write(Change(versions=[replace(other, order=number) for number in range(100, 1200)]))
        number = await bench.run(b=None)
        order = await bench.drive(number, looks=3)
        assert (order.releases["b"].version, order.releases["b"].before) == ("8", {"prod": "7"})
        await bench.server.actions.abort(number, "alice", "wrong")
        assert (await bench.drive(number)).state is State.CANCELED
        assert bench.target.running() == {"prod b": ["7"] * 4}


async def test_an_approval_is_not_got_round(tmp_path: Path) -> None:
    """Neither by waiting until it has expired and skipping it, nor by giving it too late."""
    async with Bench(tmp_path) as bench:
        number = await bench.run(a="1")
        await bench.drive(number)
        await bench.server.actions.suspend(number, "alice", "holidays")
        bench.clock += 86_401
        with pytest.raises(NotNow, match=r"production\.1\.a is no longer waited for: its time is over"):
            await bench.server.actions.vote(number, "alice", "late", True)
        await bench.server.actions.resume(number, "alice", "back")
        order = await bench.drive(number, looks=2)
        await bench.server.engine.look(number)
        order = await bench.drive(number)
        assert (order.state, task_of(order, "approve").approvals) == (State.FAILED, [])
        with pytest.raises(NotAllowed, match=r"production\.1\.a is an approval, which nobody skips"):
            await bench.server.actions.skip(number, "eve", "it is only a formality")
        assert bench.server.ledger.active[number].state is State.FAILED


async def test_said_twice_promote_lets_one_batch_begin(tmp_path: Path) -> None:
    async with Bench(tmp_path, batches("each")) as bench:
        number = await bench.run(a="1")
        await bench.drive(number)
        await bench.server.actions.promote(number, "alice", "fine")
        with pytest.raises(NotNow, match=r"production\.1\.a has been promoted already"):
            await bench.server.actions.promote(number, "bob", "fine")
        await bench.server.engine.look(number)
        assert (await bench.drive(number)).state is State.SUCCESS


async def test_of_two_who_lock_at_once_one_is_refused(tmp_path: Path) -> None:
    async with Bench(tmp_path) as bench:
        do = bench.server.actions
        found = await asyncio.gather(
            do.lock("prod", "alice", "a sale"), do.lock("prod", "eve", "mine"), return_exceptions=True
        )
        assert [type(item) for item in found] == [Hold, NotNow]
        assert bench.server.ledger.holds["prod"].locked_by == "alice"


async def test_a_lock_outlives_the_environment_that_an_order_forgets(tmp_path: Path) -> None:
    changed = {"workflows/release.yaml": WORKFLOW.replace("gray}", "gray, and_environment: true}").replace(
        "deploy: {environment: gray, and_environment: true}", "deploy: {environment: gray}"
    )}  # fmt: skip
    async with Bench(tmp_path, changed) as bench:
        number = await bench.run(a="1")
        await bench.drive(number)
        await bench.server.actions.lock("gray", "alice", "a demo for the customer")
        assert (await bench.settle(number)).state is State.SUCCESS
        assert bench.server.ledger.holds["gray"].locked_by == "alice"
        assert (await bench.store.holds())["gray"].locked_by == "alice"


async def test_an_action_at_a_revision_is_refused_if_another_change_is_quicker(tmp_path: Path) -> None:
    """Also one that is being written while the action comes."""
    async with Bench(tmp_path) as bench:
        number = await bench.run(a="1")
        seen = bench.server.ledger.active[number].revision
        do = bench.server.actions
        found = await asyncio.gather(
            do.suspend(number, "alice", "wait"), do.at(seen).abort(number, "bob", "no"), return_exceptions=True
        )
        assert isinstance(found[1], Outdated)
        assert bench.server.ledger.active[number].state is State.SUSPENDED


async def test_an_environment_without_its_file_is_said_and_nothing_is_brought_back_there(tmp_path: Path) -> None:
    async with Bench(tmp_path, batches()) as bench:
        await bench.settle(await bench.run(a="1"))
        await bench.settle(await bench.run(a="2"))
        number = await bench.run(a="3")
        files = bench.config.files
        (files / "environments/prod.yaml").rename(tmp_path / "prod.yaml")
        (files / "workflows/release.yaml").write_text("stages: [{name: s, steps: [{pause: }]}]\n")
        for path in files.glob("apps/*.yaml"):
            path.write_text(path.read_text().replace(", prod: {}", ""))
        for _ in range(3):
            await bench.server.engine.look(number)
        message = task_of(bench.server.ledger.active[number], "deploy").message
        assert message.startswith("environment 'prod' no longer has a file")
        with pytest.raises(NotThere, match=r"there is no environment 'prod' \(there are: gray\)"):
            await bench.server.undo("a", "prod", None, "alice", "wrong")
        (tmp_path / "prod.yaml").rename(files / "environments/prod.yaml")
        assert (await bench.drive(number)).state is State.SUCCESS
