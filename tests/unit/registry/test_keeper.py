"""The keeper: what is believed, what is kept, and that a watch never ends."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator

import pytest

from gateway.errors import RegistryError
from gateway.registry.keeper import Keeper
from gateway.routing.instance import Instance
from tests.support.wait import until

BASE = Instance("10.0.0.1", 80)
GRAY = Instance("10.0.0.2", 80, "gray")
DOWN = RegistryError("unreachable", "cannot reach it")


class Script:
    """An adapter that yields what is put into it: lists, or errors to raise."""

    kind = "script"
    is_authoritative = False

    def __init__(self) -> None:
        self.answers: asyncio.Queue[tuple[Instance, ...] | Exception] = asyncio.Queue()
        self.watches = 0

    async def watch(self, service: str) -> AsyncIterator[tuple[Instance, ...]]:
        self.watches += 1
        while True:
            answer = await self.answers.get()
            if isinstance(answer, Exception):
                raise answer
            yield answer

    async def close(self) -> None:
        pass


class Kept:
    """A keeper over a script, with a clock to turn and every change it told."""

    def __init__(self) -> None:
        self.script = Script()
        self.now = 0.0
        self.changes: list[tuple[Instance, ...]] = []
        self.keeper = Keeper(
            self.script,
            lambda _, instances: self.changes.append(instances),
            clock=lambda: self.now,
            rng=random.Random(1),
        )
        self.keeper.watch("a")

    async def give(self, *answers: tuple[Instance, ...] | Exception, seconds: float = 0.0) -> None:
        """Gives answers, each `seconds` after the one before, and waits until they are taken."""
        for answer in answers:
            self.now += seconds
            self.script.answers.put_nowait(answer)
            await until(self.script.answers.empty)
            await asyncio.sleep(0)
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
    assert state.reason == "unreachable: cannot reach it"
    await until(lambda: kept.script.watches == 2, "the next try")
    await kept.give((BASE,))
    assert kept.state == ("fresh", 1)
    assert kept.changes == [(BASE, GRAY), (BASE,)]
    assert kept.keeper.errors == {"unreachable": 1}


async def test_an_adapters_bug_does_not_end_the_watch(kept: Kept) -> None:
    await kept.give((BASE,), ZeroDivisionError("bug"))
    await until(lambda: kept.script.watches == 2, "the next try")
    await kept.give((BASE, GRAY))
    assert kept.state == ("fresh", 2)
    assert kept.keeper.errors == {"bad_answer": 1}


async def test_an_empty_list_is_believed_when_confirmed(kept: Kept) -> None:
    """A restarted Nacos answers 200 with an empty list until its clients have registered again."""
    await kept.give((BASE,), (), seconds=5)
    assert kept.state == ("protected", 1)
    await kept.give((), (), seconds=5)
    assert kept.state == ("protected", 1)
    assert kept.changes == [(BASE,)]
    await kept.give((), seconds=5)
    assert kept.state == ("fresh", 0)
    assert kept.changes == [(BASE,), ()]
    assert kept.keeper.empty_protected == 1


async def test_few_answers_confirm_nothing_however_far_apart(kept: Kept) -> None:
    await kept.give((BASE,), (), (), seconds=60)
    assert kept.state == ("protected", 1)
    await kept.give((), seconds=60)
    assert kept.state == ("fresh", 0)


async def test_an_error_among_empty_lists_starts_the_count_again(kept: Kept) -> None:
    await kept.give((BASE,), (), (), seconds=10)
    await kept.give(DOWN)
    await until(lambda: kept.script.watches == 2, "the next try")
    await kept.give((), (), seconds=7)
    assert kept.state == ("protected", 1)
    await kept.give((BASE,))
    assert kept.state == ("fresh", 1)
    assert kept.changes == [(BASE,)]


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


async def test_unwatched_is_forgotten(kept: Kept) -> None:
    await kept.give((BASE,))
    kept.keeper.unwatch("a")
    assert kept.keeper.states() == []
