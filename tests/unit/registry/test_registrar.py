"""An instance stays registered whatever its registry does, and is not registered more often than that needs."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from gateway.errors import RegistryError
from gateway.registry.base import Registration
from gateway.registry.embedded.server import EmbeddedRegistry
from gateway.registry.embedded.store import ServiceKey
from gateway.registry.keeper import FIRST_RETRY
from gateway.registry.nacos.adapter import NacosAdapter
from gateway.registry.nacos.client import NacosClient
from gateway.registry.registrar import LONGEST_RETRY, Registrar
from gateway.release.ports import free_port
from tests.support.wait import until

ME = Registration("orders", "10.0.0.1", 80, "gray", 2.0, {"preserved.heart.beat.interval": "20"})


class Noting:
    """Notes what it is told, and answers heartbeats by `beats` while there are some: known, unknown or an error."""

    def __init__(self, *beats: bool | Exception) -> None:
        self.told: list[str] = []
        self.beats = list(beats)

    async def register(self, registration: Registration) -> None:
        self.told.append("register")

    async def heartbeat(self, registration: Registration) -> bool:
        self.told.append("heartbeat")
        answer = self.beats.pop(0) if self.beats else True
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def release(self, registration: Registration) -> None:
        self.told.append("release")

    async def suspend(self, registration: Registration) -> None:
        self.told.append("suspend")

    async def withdraw(self, registration: Registration) -> None:
        self.told.append("withdraw")

    async def deregister(self, registration: Registration) -> None:
        self.told.append("deregister")


async def told(adapter: Noting, count: int) -> list[str]:
    """The first so many things that an registrar says."""
    registrar = Registrar(adapter, ME)
    registrar.start()
    await until(lambda: len(adapter.told) >= count)
    await registrar.stop()
    return adapter.told[:count]


async def test_one_that_is_known_is_registered_once() -> None:
    """Registering again would undo what an operator has set there: out of service, another weight."""
    assert await told(Noting(), 5) == ["register", "heartbeat", "heartbeat", "heartbeat", "heartbeat"]


async def test_one_that_was_forgotten_is_registered_again() -> None:
    assert await told(Noting(True, False), 5) == ["register", "heartbeat", "heartbeat", "register", "heartbeat"]


async def test_after_an_outage_it_is_registered_whole() -> None:
    """The registry may have restarted, and what a heartbeat makes anew has not all of it."""
    away = RegistryError("unreachable", "cannot reach it")
    assert await told(Noting(away, True), 4) == ["register", "heartbeat", "register", "heartbeat"]


async def test_one_that_cannot_serve_yet_is_not_registered_and_what_was_left_there_goes() -> None:
    adapter = Noting()
    registrar = Registrar(adapter, ME, is_usable=False)
    registrar.start()
    await until(lambda: adapter.told)
    registrar.set_usable(True)
    await until(lambda: len(adapter.told) >= 3)
    await registrar.stop()
    assert adapter.told[:3] == ["suspend", "register", "heartbeat"]


async def test_one_that_stops_serving_is_suspended_at_once_and_once_and_then_registered_again() -> None:
    slow = Registration("orders", "10.0.0.1", 80, metadata={"preserved.heart.beat.interval": "3600000"})
    adapter = Noting()
    registrar = Registrar(adapter, slow)
    registrar.start()
    await until(lambda: registrar.registered)
    registrar.set_usable(False)
    await until(lambda: not registrar.registered)
    registrar.set_usable(False)
    registrar.set_usable(True)
    await until(lambda: registrar.registered)
    await registrar.stop()
    assert adapter.told == ["register", "suspend", "register", "deregister"]


async def test_suspending_is_tried_until_the_registry_has_heard_it() -> None:
    class Away(Noting):
        async def suspend(self, registration: Registration) -> None:
            await super().suspend(registration)
            if len(self.told) < 4:
                raise RegistryError("unreachable", "cannot reach it")

    adapter = Away()
    registrar = Registrar(adapter, ME)
    registrar.start()
    await until(lambda: registrar.registered)
    registrar.set_usable(False)
    await until(lambda: not registrar.registered)
    await registrar.stop()
    told = [step for step in adapter.told if step != "heartbeat"]
    assert told[0] == "register"
    assert told[1:-1] == ["suspend"] * (len(told) - 2)
    assert told[-1] == "deregister"


@pytest.fixture
async def nacos(registry: EmbeddedRegistry) -> AsyncIterator[NacosAdapter]:
    adapter = NacosAdapter(NacosClient([registry.address], protocol="http"))
    yield adapter
    await adapter.close()


async def test_the_announcer_keeps_an_instance_registered(registry: EmbeddedRegistry, nacos: NacosAdapter) -> None:
    registrar = Registrar(nacos, ME)
    registrar.start()
    await until(lambda: registrar.registered)
    key = ServiceKey.of("", "", "orders")
    assert registry.store.deregister(key, "10.0.0.1", 80, "")
    assert not registry.store.instances(key)  # looked at before the next heartbeat can come
    await until(lambda: registry.store.instances(key))
    await registrar.stop()
    assert (await nacos.instances("orders")).instances == ()
    assert not registrar.registered


async def test_the_announcer_waits_for_a_registry_that_is_away(caplog: pytest.LogCaptureFixture) -> None:
    port = free_port()
    adapter = NacosAdapter(NacosClient([f"127.0.0.1:{port}"]))
    registrar = Registrar(adapter, ME)
    registrar.start()
    await until(lambda: "cannot reach the registry for orders" in caplog.text)
    assert not registrar.registered
    registry = EmbeddedRegistry("127.0.0.1", port, warmup=0)
    await registry.start()
    await until(lambda: registrar.registered)
    await registrar.stop()
    await adapter.close()
    await registry.stop()


async def test_a_registrars_bug_does_not_end_the_heartbeat(nacos: NacosAdapter) -> None:
    class Buggy(Noting):
        failures = 2

        async def register(self, registration: Registration) -> None:
            if self.failures:
                self.failures -= 1
                raise KeyError("a bug")
            await nacos.register(registration)

        async def suspend(self, registration: Registration) -> None:
            raise KeyError("a third")

        async def withdraw(self, registration: Registration) -> None:
            raise KeyError("another")

        async def deregister(self, registration: Registration) -> None:
            await nacos.deregister(registration)

    registrar = Registrar(Buggy(), ME)
    registrar.start()
    await until(lambda: registrar.registered)
    await registrar.withdraw()
    await registrar.stop()
    assert (await nacos.instances("orders")).instances == ()


async def test_the_pauses_between_attempts_grow_to_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    """Twice as long each time, up to five seconds or the heartbeat's interval; at random within the upper half of that."""
    pauses: list[tuple[float, float]] = []

    def uniform(least: float, most: float) -> float:
        pauses.append((least, most))
        return 0.0

    monkeypatch.setattr("gateway.registry.registrar.random.uniform", uniform)
    away = RegistryError("unreachable", "cannot reach it")

    class Away(Noting):
        async def register(self, registration: Registration) -> None:
            assert registration is slow
            await super().register(registration)
            raise away

    slow = Registration("orders", "10.0.0.1", 80, metadata={"preserved.heart.beat.interval": "3600000"})
    registrar = Registrar(Away(), slow)
    registrar.start()
    await until(lambda: len(pauses) >= 7)
    await registrar.hand_over()
    longest = [min(FIRST_RETRY * 2**number, LONGEST_RETRY) for number in range(7)]
    assert longest[-1] == LONGEST_RETRY
    assert longest[2] < LONGEST_RETRY
    assert pauses[:7] == [(most / 2, most) for most in longest]


async def test_it_says_what_it_does_and_in_which_registry(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    registrar = Registrar(Noting(), ME, registry="old")
    registrar.start()
    await until(lambda: registrar.registered)
    registrar.set_usable(False)
    await until(lambda: not registrar.registered)
    await registrar.withdraw()
    await registrar.stop()
    me = "orders 10.0.0.1:80 (tag gray) in registry old"
    assert caplog.messages == [f"registered {me}", f"suspended {me}", f"withdrawn {me}", f"deregistered {me}"]


async def test_one_that_cannot_leave_says_so_and_ends(caplog: pytest.LogCaptureFixture) -> None:
    class Away(Noting):
        async def deregister(self, registration: Registration) -> None:
            raise RegistryError("unreachable", "cannot reach it")

        async def withdraw(self, registration: Registration) -> None:
            raise TimeoutError

    registrar = Registrar(Away(), ME)
    await registrar.withdraw()
    await registrar.stop()
    me = "orders 10.0.0.1:80 (tag gray)"
    assert caplog.messages == [
        f"{me} is not withdrawn: no response; it will expire",
        f"{me} is not deregistered: cannot reach it; it will expire",
    ]


async def test_one_that_hands_over_leaves_the_instance_registered() -> None:
    adapter = Noting()
    registrar = Registrar(adapter, ME)
    registrar.start()
    await until(lambda: registrar.registered)
    await registrar.hand_over()
    assert registrar.registered
    assert adapter.told == ["register", "release"]


async def test_what_changes_is_registered_anew() -> None:
    class Keeping(Noting):
        last: Registration | None = None

        async def register(self, registration: Registration) -> None:
            await super().register(registration)
            self.last = registration

    adapter = Keeping()
    registrar = Registrar(adapter, ME)
    registrar.start()
    await until(lambda: registrar.registered)
    changed = Registration(ME.service, ME.host, ME.port, ME.tag, metadata={"version": "8"})
    registrar.change(changed)
    await until(lambda: adapter.last == changed)
    await registrar.hand_over()
