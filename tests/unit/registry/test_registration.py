"""What is known of a registration is what the registry last said, and when."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

import pytest

from gateway.errors import RegistryError
from gateway.registry.base import Registration
from gateway.registry.registration import KnownRegistration

ME = Registration("a", "10.0.0.1", 80)
AWAY = RegistryError("unreachable", "cannot reach it")


class Registrar:
    """Answers as it is told: False for an instance that is not known, an error to raise."""

    answer: bool | Exception = True

    async def _answer(self, _: Registration) -> None:
        if isinstance(self.answer, Exception):
            raise self.answer

    register = suspend = withdraw = deregister = _answer

    async def release(self, registration: Registration) -> None:
        raise NotImplementedError

    async def heartbeat(self, registration: Registration) -> bool:
        await self._answer(registration)
        return self.answer is True


class Setup:
    def __init__(self) -> None:
        self.registrar = Registrar()
        self.now = 0.0
        self.known = KnownRegistration(self.registrar, "old", lambda: self.now)

    async def tell(self, call: str, answer: bool | Exception = True) -> tuple[str, bool]:
        """The state after a call, and whether peers find the instance."""
        self.registrar.answer = answer
        with pytest.raises(type(answer)) if isinstance(answer, Exception) else nullcontext():
            await getattr(self.known, call)(ME)
        return self.known.state, self.known.is_found


@pytest.fixture
def setup() -> Setup:
    return Setup()


async def test_it_is_registered_when_the_registry_says_so_and_not_known_to_be_while_it_is_away(
    setup: Setup, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    assert setup.known.describe() == {"state": "registering", "age": None, "reason": None}
    assert await setup.tell("register", AWAY) == ("registering", False)
    assert await setup.tell("register") == ("registered", True)
    setup.now = 5.0
    assert await setup.tell("heartbeat") == ("registered", True)
    setup.now = 12.5
    assert await setup.tell("heartbeat", AWAY) == ("unknown", True)
    assert setup.known.describe() == {"state": "unknown", "age": 7.5, "reason": "cannot reach it"}
    assert await setup.tell("register", AWAY) == ("unknown", True)
    assert await setup.tell("register") == ("registered", True)
    assert setup.known.describe() == {"state": "registered", "age": 0.0, "reason": None}
    assert caplog.messages == ["the registry old responds again for a 10.0.0.1:80"] * 2


async def test_one_that_was_forgotten_is_being_registered(setup: Setup) -> None:
    await setup.tell("register")
    assert await setup.tell("heartbeat", False) == ("registering", False)
    assert await setup.tell("register", AWAY) == ("registering", False)


async def test_one_that_takes_no_requests_or_leaves_is_not_found(setup: Setup) -> None:
    await setup.tell("register")
    assert await setup.tell("suspend") == ("suspended", False)
    assert await setup.tell("register") == ("registered", True)
    assert await setup.tell("withdraw") == ("withdrawn", False)
    assert await setup.tell("deregister", AWAY) == ("withdrawn", False)


async def test_any_failure_is_told_on(setup: Setup) -> None:
    await setup.tell("register")
    assert await setup.tell("heartbeat", KeyError()) == ("unknown", True)
    assert setup.known.reason == "KeyError"


@pytest.mark.parametrize("call", ["register", "heartbeat", "suspend", "withdraw", "deregister"])
async def test_every_call_is_passed_on_as_it_is(call: str) -> None:
    told: list[tuple[str, Registration]] = []

    class Noting:
        def __getattr__(self, name: str) -> Any:
            async def noted(registration: Registration) -> bool:
                told.append((name, registration))
                return True

            return noted

    known = KnownRegistration(Noting())
    await getattr(known, call)(ME)
    assert told == [(call, ME)]
    assert known.age is not None
    assert 0.0 <= known.age < 60.0


async def test_a_registry_without_a_name_is_called_the_registry(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    registrar = Registrar()
    known = KnownRegistration(registrar)
    registrar.answer = AWAY
    with pytest.raises(RegistryError):
        await known.register(ME)
    registrar.answer = True
    await known.register(ME)
    assert caplog.messages == ["the registry responds again for a 10.0.0.1:80"]
