"""The keeper: what is believed, what is kept, and that a watch never ends."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator
from dataclasses import replace
from pathlib import Path

import pytest

from gateway.errors import RegistryError
from gateway.instance import Instance
from gateway.registry import keeper
from gateway.registry.base import Listing
from gateway.registry.disk import Disk
from gateway.registry.keeper import Keeper
from gateway.tags import INVALID
from tests.support.wait import until

BASE = Instance("10.0.0.1", 80)
GRAY = Instance("10.0.0.2", 80, "gray")
DOWN = RegistryError("unreachable", "cannot reach it")


class Script:
    """An adapter that yields what is put into it: lists, or errors to raise."""

    kind = "script"
    is_authoritative = False

    def __init__(self) -> None:
        self.answers: asyncio.Queue[Listing | tuple[Instance, ...] | Exception] = asyncio.Queue()
        self.watches = 0

    async def watch(self, service: str) -> AsyncGenerator[Listing, None]:
        self.watches += 1
        while True:
            answer = await self.answers.get()
            if isinstance(answer, Exception):
                raise answer
            yield answer if isinstance(answer, Listing) else Listing(answer)

    def describe(self) -> dict[str, object]:
        return {"kind": self.kind}

    async def close(self) -> None:
        pass


class Kept:
    """A keeper over a script, with a clock to turn and every change it told."""

    def __init__(self, disk: Disk | None = None, own: tuple[str, ...] = ()) -> None:
        self.script = Script()
        self.now = 0.0
        self.changes: list[tuple[Instance, ...]] = []
        self.keeper = Keeper(
            self.script,
            lambda _, instances: self.changes.append(instances),
            clock=lambda: self.now,
            rng=random.Random(1),
            disk=disk,
            own=own,
            recheck=0.0,
        )
        self.keeper.watch("a")

    async def give(self, *answers: Listing | tuple[Instance, ...] | Exception, seconds: float = 0.0) -> None:
        """Gives answers, each `seconds` after the one before, and waits until they are taken."""
        for answer in answers:
            self.now += seconds
            self.script.answers.put_nowait(answer)
            await until(self.script.answers.empty)
            for _ in range(4):  # the keeper takes it, and asks again
                await asyncio.sleep(0)

    @property
    def state(self) -> tuple[str, int]:
        (state,) = self.keeper.states()
        return state.state, len(state.instances)


@pytest.fixture
async def kept():  # type: ignore[no-untyped-def]
    kept = Kept()
    yield kept
    await kept.keeper.close()


async def test_nothing_is_known_before_the_first_answer(kept: Kept) -> None:
    assert kept.state == ("unknown", 0)
    assert not await kept.keeper.wait_known("a", 0.01)
    await kept.give((BASE,))
    assert await kept.keeper.wait_known("a", 0.01)
    assert kept.state == ("fresh", 1)


async def test_only_changes_are_told(kept: Kept) -> None:
    await kept.give((BASE,), (BASE,), (BASE, GRAY), (BASE, GRAY), (BASE,))
    assert kept.changes == [(BASE,), (BASE, GRAY), (BASE,)]


async def test_a_registry_that_fails_changes_nothing(kept: Kept) -> None:
    await kept.give((BASE, GRAY), DOWN)
    assert kept.state == ("stale", 2)
    (state,) = kept.keeper.states()
    assert state.reason == "unreachable: cannot reach it; 2 instances remain in use"
    await until(lambda: kept.script.watches == 2, "the next try")
    await kept.give((BASE, GRAY))
    assert kept.state == ("fresh", 2)
    assert kept.changes == [(BASE, GRAY)]
    assert kept.keeper.errors == {"unreachable": 1}


async def test_an_adapters_bug_does_not_end_the_watch(kept: Kept) -> None:
    await kept.give((BASE,), ZeroDivisionError("bug"))
    await until(lambda: kept.script.watches == 2, "the next try")
    await kept.give((BASE, GRAY))
    assert kept.state == ("fresh", 2)
    assert kept.keeper.errors == {"bad_response": 1}


async def test_an_empty_list_is_believed_when_confirmed(kept: Kept) -> None:
    """A restarted Nacos answers 200 with an empty list until its clients have registered again."""
    await kept.give((BASE,), ())
    assert kept.state == ("protected", 1)
    (state,) = kept.keeper.states()
    assert state.reason == "an empty list is not confirmed yet; 1 instances remain in use"
    await kept.give((), seconds=7)
    assert kept.state == ("protected", 1)
    assert kept.changes == [(BASE,)]
    await kept.give((), seconds=8)
    assert kept.state == ("fresh", 0)
    assert kept.changes == [(BASE,), ()]
    assert kept.keeper.protected == {"empty": 1, "returned": 0, "drop": 0}


async def test_an_error_among_empty_lists_starts_the_count_again(kept: Kept) -> None:
    await kept.give((BASE,), (), (), seconds=10)
    watches = kept.script.watches
    await kept.give(DOWN)
    await until(lambda: kept.script.watches > watches, "the next try")
    await kept.give((), (), seconds=7)
    assert kept.state == ("protected", 1)
    await kept.give((BASE,))
    assert kept.state == ("fresh", 1)
    assert kept.changes == [(BASE,)]


async def test_what_is_doubted_is_asked_for_again(kept: Kept) -> None:
    """A registry that is waited for may have nothing to tell for a minute."""
    await kept.give((BASE,), ())
    assert kept.script.watches == 2


async def test_records_that_were_left_out_are_counted_once(kept: Kept, caplog: pytest.LogCaptureFixture) -> None:
    await kept.give(Listing((BASE,), {"bad_port": 2}), Listing((BASE,), {"bad_port": 2}), Listing((BASE,)))
    assert kept.keeper.skipped == {"bad_port": 2}
    assert sum("2 records left out: bad_port" in line for line in caplog.messages) == 1
    await kept.give(Listing((BASE,), {"bad_port": 1}))
    (state,) = kept.keeper.states()
    assert state.skipped == {"bad_port": 1}


async def test_records_that_were_left_out_are_named_and_another_one_is_told(
    kept: Kept, caplog: pytest.LogCaptureFixture
) -> None:
    def listing(*names: str) -> Listing:
        return Listing((BASE,), {"bad_port": len(names)}, left_out={"bad_port": names})

    await kept.give(listing("10.0.0.9:0"), listing("10.0.0.9:0"), listing("orders-7"))
    assert [line for line in caplog.messages if "left out" in line] == [
        f"service a: 1 records left out: bad_port: {name}" for name in ("10.0.0.9:0", "orders-7")
    ]
    (state,) = kept.keeper.states()
    assert state.left_out == {"bad_port": ("orders-7",)}
    assert kept.keeper.skipped == {"bad_port": 1}


async def test_who_is_used_though_the_registry_does_not_say_so_is_known(kept: Kept) -> None:
    def held() -> set[str]:
        (state,) = kept.keeper.states()
        return set(state.kept)

    await kept.give((BASE, GRAY))
    assert held() == set()
    await kept.give(DOWN)
    assert held() == {BASE.address, GRAY.address}
    await until(lambda: kept.script.watches == 2, "the next try")
    await kept.give((BASE,))
    assert (kept.state, held()) == (("protected", 2), {GRAY.address})
    await kept.give((BASE, GRAY))
    assert held() == set()


async def test_each_doubt_is_counted_and_told_though_the_state_stays(
    kept: Kept, caplog: pytest.LogCaptureFixture
) -> None:
    """Empty first, then one by one: two steps of a registry that has restarted."""
    caplog.set_level("INFO")
    await kept.give((BASE, GRAY), (), (), (BASE,), (BASE,), (BASE, GRAY))
    assert kept.keeper.protected == {"empty": 1, "returned": 1, "drop": 0}
    assert [line for line in caplog.messages if " is " in line and "service a" in line] == [
        "service a is protected: an empty list is not confirmed yet; 2 instances remain in use",
        "service a is protected: the registry was unreachable; instances that have not come back yet are kept; 2 instances remain in use",
        "service a is fresh again",
    ]


async def test_where_there_are_several_registries_each_line_names_its_own(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    script = Script()
    keeper = Keeper(script, lambda *_: None, name="old", is_one_of_many=True, recheck=0.0)
    keeper.watch("a")
    invalid = Instance("10.0.0.3", 80, INVALID)
    for answer in (Listing((BASE, invalid), {"bad_port": 1}), Listing((BASE, invalid), is_forced=True), DOWN):
        script.answers.put_nowait(answer)
    await until(lambda: keeper.states()[0].state == "stale")
    assert len(caplog.messages) == 5
    assert [line for line in caplog.messages if not line.startswith("service a in registry old")] == []
    await keeper.close()


async def test_a_registry_that_calls_everybody_healthy_is_told_of(kept: Kept) -> None:
    await kept.give(Listing((BASE,), is_forced=True))
    (state,) = kept.keeper.states()
    assert state.is_forced


async def test_the_gateways_own_address_is_no_instance() -> None:
    kept = Kept(own=("10.0.0.1:80",))
    await kept.give((BASE, GRAY))
    assert kept.changes == [(GRAY,)]
    await kept.keeper.close()


async def test_an_instance_that_comes_and_goes_is_held_back(kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    other = replace(BASE, host="10.0.0.3")
    await kept.give(*[(BASE, other), (BASE,)] * 2, seconds=1)
    await kept.give((BASE, other))
    assert kept.changes[-1] == (BASE, replace(other, healthy=False))
    assert kept.keeper.flapped == 1
    kept.now += 10
    await kept.give((BASE, other))
    assert kept.changes[-1] == (BASE, other)


async def test_what_another_node_does_not_know_is_kept_for_a_while(kept: Kept) -> None:
    """It may have started a moment ago, and relearn who there is."""
    await kept.give(Listing((BASE, GRAY), node="one"), Listing((BASE,), node="two"))
    assert kept.state == ("protected", 2)
    await kept.give(Listing((BASE, GRAY), node="two"), Listing((BASE,), node="two"))
    assert kept.changes == [(BASE, GRAY), (BASE,)]


class TestDisk:
    async def test_a_gateway_that_starts_without_its_registry_routes_by_what_it_knew(self, tmp_path: Path) -> None:
        kept = Kept(Disk(tmp_path, "r"))
        await kept.give((BASE, GRAY))
        await kept.keeper.close()
        assert (tmp_path / "a.json").stat().st_mode & 0o777 == 0o600

        again = Kept(Disk(tmp_path, "r"))
        await again.give(DOWN)
        assert again.state == ("stale", 2)
        assert again.changes == [(BASE, GRAY)]
        assert await again.keeper.wait_known("a", 0)
        (state,) = again.keeper.states()
        assert "from before the restart" in state.reason
        await until(lambda: again.script.watches == 2, "the next try")
        # It comes back, and its clients one by one.
        await again.give((BASE,))
        assert again.state == ("protected", 2)
        await again.give((BASE, GRAY))
        assert again.state == ("fresh", 2)
        assert again.changes == [(BASE, GRAY)]
        await again.keeper.close()

    async def test_an_empty_first_answer_is_doubted_where_there_is_a_copy(self, tmp_path: Path) -> None:
        kept = Kept(Disk(tmp_path, "r"))
        await kept.give((BASE,))
        await kept.keeper.close()
        again = Kept(Disk(tmp_path, "r"))
        await again.give(())
        assert again.state == ("protected", 1)
        await again.keeper.close()

    async def test_what_is_doubted_is_not_written(self, tmp_path: Path) -> None:
        kept = Kept(Disk(tmp_path, "r"))
        await kept.give((BASE, GRAY), DOWN)
        await until(lambda: kept.script.watches == 2, "the next try")
        await kept.give((BASE,))
        assert kept.state == ("protected", 2)
        await kept.keeper.close()
        assert len(Disk(tmp_path, "r").load("a")) == 2

    @pytest.mark.parametrize("text", ["", "{", "[]", '{"schema": 1}', "\x00", "[" * 100_000])
    async def test_a_copy_that_cannot_be_read_is_passed_over(self, tmp_path: Path, text: str) -> None:
        (tmp_path / "a.json").write_text(text)
        assert Disk(tmp_path, "r").load("a") == ()

    async def test_a_copy_of_another_registry_an_old_one_and_a_changed_one_are_passed_over(
        self, tmp_path: Path
    ) -> None:
        now = 1e9
        disk = Disk(tmp_path, "r", lambda: now)
        disk.save("a", (BASE,))
        await disk.close()
        assert disk.load("a") == (BASE,)
        assert disk.load("b") == ()
        assert Disk(tmp_path, "other", lambda: now).load("a") == ()
        assert Disk(tmp_path, "r", lambda: now + 24 * 3600 + 1).load("a") == ()
        path = tmp_path / "a.json"
        path.write_text(path.read_text().replace("10.0.0.1", "10.0.0.9"))
        assert disk.load("a") == ()

    async def test_a_disk_that_is_full_is_told_of_and_hurts_nobody(
        self, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        (tmp_path / "file").write_text("")
        kept = Kept(Disk(tmp_path / "file", "r"))
        await kept.give((BASE,))
        await kept.keeper.close()
        assert kept.changes == [(BASE,)]
        assert any("cannot save a copy of service a" in line for line in caplog.messages)

    async def test_a_long_name_has_a_file_too(self, tmp_path: Path) -> None:
        disk = Disk(tmp_path, "r")
        disk.save("@" * 255, (BASE,))
        await disk.close()
        assert disk.load("@" * 255) == (BASE,)


async def test_a_tag_that_goes_while_the_service_stays_is_believed_at_once(kept: Kept) -> None:
    """Closing a gray environment looks just like that."""
    await kept.give((BASE, GRAY), (BASE,))
    assert kept.changes == [(BASE, GRAY), (BASE,)]


async def test_empty_from_the_start_is_empty(kept: Kept) -> None:
    await kept.give(())
    assert kept.state == ("fresh", 0)
    assert kept.changes == [()]


async def test_an_authoritative_registrys_empty_list_counts(kept: Kept) -> None:
    kept.script.is_authoritative = True
    await kept.give((BASE,), ())
    assert kept.changes == [(BASE,), ()]


async def test_a_service_that_fails_leaves_the_others_alone() -> None:
    class Uneven(Script):
        async def watch(self, service: str) -> AsyncGenerator[Listing, None]:
            if service == "bad":
                raise RegistryError("bad_response", "the list of this one is no list")
            yield Listing((BASE,))
            await asyncio.Event().wait()

    seen: dict[str, tuple[Instance, ...]] = {}
    keeper = Keeper(Uneven(), seen.__setitem__)
    for service in ("bad", "good"):
        keeper.watch(service)
    await until(lambda: keeper.errors.get("bad_response", 0) >= 2 and "good" in seen)
    assert {state.service: state.state for state in keeper.states()} == {"bad": "unknown", "good": "fresh"}
    assert seen == {"good": (BASE,)}
    await keeper.close()


async def test_unwatched_is_forgotten(kept: Kept) -> None:
    await kept.give((BASE,))
    kept.keeper.unwatch("a")
    assert kept.keeper.states() == []


async def test_a_consumer_that_fails_is_told_again(kept: Kept) -> None:
    tell, fails = kept.keeper._on_change, [True]

    def on_change(service: str, instances: tuple[Instance, ...]) -> None:
        if fails and instances == (BASE, GRAY):
            fails.clear()
            raise ZeroDivisionError("bug")
        tell(service, instances)

    kept.keeper._on_change = on_change
    await kept.give((BASE,), (BASE, GRAY))
    await until(lambda: kept.script.watches == 2, "the next try")
    await kept.give((BASE, GRAY))
    assert kept.changes == [(BASE,), (BASE, GRAY)]


class TestCopyAtStart:
    @pytest.fixture
    async def folder(self, tmp_path: Path) -> Path:
        kept = Kept(Disk(tmp_path, "r"))
        await kept.give((BASE, GRAY))
        await kept.keeper.close()
        return tmp_path

    async def test_a_registry_that_hangs_does_not_hold_the_copy_back(
        self, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(keeper, "GRACE", 0.01)
        kept = Kept(Disk(folder, "r"))
        await until(lambda: kept.changes == [(BASE, GRAY)], "the copy to be used")
        assert kept.state == ("stale", 2)
        await kept.give((BASE, GRAY))
        assert kept.state == ("fresh", 2)
        await kept.keeper.close()

    async def test_a_first_list_without_baseline_is_doubted(self, folder: Path) -> None:
        """A registry that has restarted, too, knows only some yet."""
        kept = Kept(Disk(folder, "r"))
        await kept.give((GRAY,))
        assert kept.changes == [(BASE, GRAY)]
        assert kept.state == ("protected", 2)
        await kept.keeper.close()

    async def test_a_first_list_with_one_is_believed(self, folder: Path) -> None:
        """Addresses of yesterday may be somebody else's today."""
        kept = Kept(Disk(folder, "r"))
        await kept.give((BASE,))
        assert kept.state == ("fresh", 1)
        await kept.keeper.close()


async def test_a_list_that_comes_while_another_is_doubted_is_taken_at_once() -> None:
    """And who is known to be no more goes with it."""
    script = Script()
    changes: list[tuple[Instance, ...]] = []
    keeper = Keeper(script, lambda _, instances: changes.append(instances), recheck=3600.0)
    keeper.watch("a")
    script.answers.put_nowait((BASE, GRAY))
    script.answers.put_nowait(())
    script.answers.put_nowait(Listing((), is_gone=lambda instance: instance == GRAY))
    await until(lambda: changes[-1:] == [(BASE,)], "the last list")
    (state,) = keeper.states()
    assert (state.state, script.watches) == ("protected", 1)
    await keeper.close()


async def test_an_adapter_that_times_out_itself_while_a_list_is_doubted_has_failed(kept: Kept) -> None:
    await kept.give((BASE, GRAY))
    kept.keeper._recheck = 3600.0
    await kept.give((), TimeoutError("an adapter's bug"))
    assert kept.keeper.errors == {"bad_response": 1}
