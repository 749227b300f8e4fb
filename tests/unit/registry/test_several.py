"""Several registries: one list for each service, and no trouble of one touches what another says."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from gateway.errors import RegistryError
from gateway.instance import Instance
from gateway.registry.base import Listing
from gateway.registry.several import Registries
from gateway.registry.static import StaticAdapter
from tests.support.wait import until

BASE = Instance("10.0.0.1", 80)
GRAY = Instance("10.0.0.2", 80, "gray")
THIRD = Instance("10.0.0.3", 80)


class Source:
    """An adapter with a list, or an error, that can be replaced."""

    kind = "source"
    is_authoritative = False

    def __init__(self, *instances: Instance) -> None:
        self.answer: tuple[Instance, ...] | RegistryError | None = instances
        self.asked: list[str] = []
        self._changed = asyncio.Event()

    def say(self, *instances: Instance) -> None:
        self.answer = instances
        self._wake()

    def fail(self) -> None:
        self.answer = RegistryError("unreachable", "it is away")
        self._wake()

    def _wake(self) -> None:
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    async def watch(self, service: str) -> AsyncGenerator[Listing, None]:
        self.asked.append(service)
        while True:
            changed = self._changed
            if isinstance(self.answer, RegistryError):
                raise self.answer
            if self.answer is not None:
                yield Listing(self.answer)
            await changed.wait()

    def describe(self) -> dict[str, object]:
        return {"kind": self.kind}

    async def close(self) -> None:
        pass


class Pair:
    def __init__(self, chosen: dict[str, str] | None = None) -> None:
        self.one, self.two = Source(BASE), Source(GRAY)
        self.lists: dict[str, tuple[Instance, ...]] = {}
        adapters = {"one": self.one, "two": self.two}
        self.registries = Registries(adapters, self.lists.__setitem__, chosen=chosen)


@pytest.fixture
async def pair() -> AsyncIterator[Pair]:
    pair = Pair()
    yield pair
    await pair.registries.close()


async def test_a_service_has_the_instances_of_all(pair: Pair) -> None:
    pair.registries.watch("a")
    await until(lambda: pair.lists.get("a") == (BASE, GRAY))
    states = pair.registries.states()["a"]
    assert [(state.registry, state.state) for state in states] == [("one", "fresh"), ("two", "fresh")]


async def test_what_is_in_two_is_one_instance_and_the_usable_record_counts(pair: Pair) -> None:
    pair.one.say(replace(BASE, healthy=False), GRAY)
    pair.two.say(BASE, replace(GRAY, weight=5.0))
    pair.registries.watch("a")
    # Of two that are usable the first registry's.
    await until(lambda: pair.lists.get("a") == (BASE, GRAY))


async def test_trouble_of_one_leaves_what_the_other_says_alone(pair: Pair) -> None:
    pair.registries.watch("a")
    await until(lambda: pair.lists.get("a") == (BASE, GRAY))
    pair.one.fail()
    await until(lambda: pair.registries.states()["a"][0].state == "stale")
    pair.two.say(GRAY, THIRD)
    await until(lambda: pair.lists["a"] == (BASE, GRAY, THIRD))
    assert pair.registries.states()["a"][1].state == "fresh"


async def test_one_answer_is_enough_to_know_a_service(pair: Pair) -> None:
    pair.one.answer = None  # it never answers
    pair.registries.watch("a")
    assert await pair.registries.wait_known("a", 10.0)
    assert pair.lists["a"] == (GRAY,)
    pair.two.answer = None
    pair.registries.watch("b")
    assert not await pair.registries.wait_known("b", 0.01)


async def test_a_service_can_name_its_registry_and_move_to_another() -> None:
    pair = Pair({"a": "one"})
    pair.registries.watch("a")
    await until(lambda: pair.lists.get("a") == (BASE,))
    assert pair.two.asked == []
    pair.registries.choose({"a": "two"})
    await until(lambda: pair.lists["a"] == (GRAY,))
    assert [state.registry for state in pair.registries.states()["a"]] == ["two"]
    pair.registries.unwatch("a")
    assert pair.registries.watched == []
    assert pair.registries.states() == {}
    await pair.registries.close()


async def test_a_registry_that_is_not_there_yet_chooses_nothing() -> None:
    """A reload can name one that only a restart brings."""
    seen: dict[str, tuple[Instance, ...]] = {}
    registries = Registries({"one": StaticAdapter({"a": (Instance("10.0.0.1", 80),)})}, seen.__setitem__)
    registries.watch("a")
    registries.choose({"a": "two"})
    registries.watch("b")
    await until(lambda: seen.keys() == {"a", "b"})
    assert len(seen["a"]) == 1
    await registries.close()


async def test_an_empty_answer_of_one_does_not_end_the_wait_for_the_other() -> None:
    class Late(StaticAdapter):
        gate = asyncio.Event()

        async def watch(self, service: str) -> AsyncGenerator[Listing, None]:
            await self.gate.wait()
            async for listing in super().watch(service):
                yield listing

    late = Late({"a": (Instance("10.0.0.1", 80),)})
    registries = Registries({"empty": StaticAdapter({}), "late": late}, lambda *_: None)
    registries.watch("a")
    waiting = asyncio.create_task(registries.wait_known("a", 10))
    await until(lambda: any(state.state == "fresh" for state in registries.states()["a"]))
    assert not waiting.done()
    late.gate.set()
    assert await waiting
    assert any(state.instances for state in registries.states()["a"])
    await registries.close()


async def test_a_registry_that_answers_first_is_enough_though_the_other_never_does() -> None:
    """Whichever of them it is: that one has answered, with nothing, does not make the service unknown."""
    for names in (("silent", "empty"), ("empty", "silent")):
        sources = {name: Source() for name in names}
        sources["silent"].answer = None
        registries = Registries(sources, lambda *_: None)
        registries.watch("a")
        await until(lambda: any(state.state == "fresh" for state in registries.states()["a"]))  # noqa: B023
        assert await registries.wait_known("a", 0.01)
        await registries.close()


async def test_only_services_whose_registry_changed_are_watched_anew() -> None:
    pair = Pair({"a": "one", "b": "one"})
    for service in "abc":
        pair.registries.watch(service)
    await until(lambda: sorted(pair.one.asked) == ["a", "b", "c"] and pair.two.asked == ["c"])
    pair.registries.choose({"a": "one", "b": "two"})
    await until(lambda: pair.two.asked == ["c", "b"])
    assert sorted(pair.one.asked) == ["a", "b", "c"]
    pair.registries.choose({"a": "one"})  # b is looked for everywhere again
    await until(lambda: sorted(pair.one.asked) == ["a", "b", "b", "c"] and pair.two.asked == ["c", "b", "b"])
    await pair.registries.close()


async def test_each_registry_has_copies_of_its_own_unless_it_needs_none(tmp_path: Path) -> None:
    """What stands in the configuration, or in this very process, needs no copy."""
    one, own = Source(BASE), StaticAdapter({"a": (GRAY,)})
    seen: dict[str, tuple[Instance, ...]] = {}
    registries = Registries({"one": one, "own": own}, seen.__setitem__, folder=tmp_path, identities={"one": "nacos x"})
    registries.watch("a")
    await until(lambda: seen.get("a") == (BASE, GRAY))
    await registries.close()  # which writes what waits
    (copy,) = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert copy.parent == tmp_path / "registry" / "one"
    assert '"nacos x"' in copy.read_text()


async def test_of_several_usable_records_the_first_registrys_counts_and_of_unusable_ones_too() -> None:
    pair = Pair()
    heavy, sick = replace(BASE, weight=7.0), replace(BASE, healthy=False)
    pair.registries.watch("a")
    for first, second, left in (
        (BASE, heavy, BASE),
        (sick, heavy, heavy),
        (BASE, sick, BASE),
        (sick, replace(sick, weight=7.0), sick),
    ):
        pair.one.say(first)
        pair.two.say(second)
        await until(lambda: pair.lists.get("a") == (left,), f"{left}")  # noqa: B023


async def test_what_is_said_of_a_service_after_it_is_not_watched_is_not_told() -> None:
    pair = Pair()
    pair.registries.watch("a")
    pair.registries.watch("b")
    await until(lambda: pair.lists.keys() == {"a", "b"})
    pair.registries.unwatch("a")
    pair.lists.clear()
    pair.one.say(THIRD)
    await until(lambda: pair.lists == {"b": (GRAY, THIRD)})
    await pair.registries.close()
