"""The registrations of a sidecar's instance: one in each registry that takes some."""

from __future__ import annotations

import asyncio

from gateway.app.registries import registrars
from gateway.registry.base import Registration
from gateway.registry.registrar import Registrar
from gateway.registry.registration import REGISTERED, KnownRegistration
from gateway.registry.several import Registries


class Registrations:
    """All of them together; `known` is what each registry last said, by its name. To leave before the start means nothing.

    `is_usable`: the application takes requests.
    """

    def __init__(self, registries: Registries, registration: Registration, *, is_usable: bool) -> None:
        found = registrars(registries)
        names = {name: name if len(registries.keepers) > 1 else "" for name in found}
        self.known = {name: KnownRegistration(registrar, names[name]) for name, registrar in found.items()}
        self._registrars = [
            Registrar(known, registration, is_usable, registry=names[name]) for name, known in self.known.items()
        ]
        self._is_started = False

    def start(self) -> None:
        """Begins, in the background."""
        self._is_started = True
        for registrar in self._registrars:
            registrar.start()

    def set_usable(self, is_usable: bool) -> None:
        """Says whether the application takes requests now."""
        for registrar in self._registrars:
            registrar.set_usable(is_usable)

    async def withdraw(self) -> None:
        """Takes the instance out of service; it stays registered."""
        if not self._is_started:
            return
        await asyncio.gather(*(registrar.withdraw() for registrar in self._registrars))

    async def stop(self) -> None:
        """Deregisters."""
        if not self._is_started:
            return
        await asyncio.gather(*(registrar.stop() for registrar in self._registrars))

    def change(self, registration: Registration) -> None:
        """Registers something else of the same instance from now on."""
        for registrar in self._registrars:
            registrar.change(registration)

    async def hand_over(self) -> None:
        """Leaves the instance registered: a successor takes it over, at the same address."""
        await asyncio.gather(*(registrar.hand_over() for registrar in self._registrars))

    @property
    def registered_in(self) -> list[str]:
        """The registries that have it, by what they said last."""
        return [name for name, item in self.known.items() if item.state == REGISTERED]

    def not_found(self) -> str | None:
        """Why no peer can find the instance; None if one registry is enough for that: peers keep using what it said."""
        if not self.known or any(item.is_found for item in self.known.values()):
            return None
        return "; ".join(dict.fromkeys(item.reason for item in self.known.values() if item.reason))
