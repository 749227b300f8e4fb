"""What is known of an instance's registration: what the registry last said of it, and when."""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from gateway.registry.base import RegistrarAdapter, Registration

_log = logging.getLogger("gateway.registry")

T = TypeVar("T")

REGISTERING: Final = "registering"
"""The registry has yet to take it, or has forgotten it."""
REGISTERED: Final = "registered"
SUSPENDED: Final = "suspended"
"""It knows that the instance takes no requests."""
WITHDRAWN: Final = "withdrawn"
UNKNOWN: Final = "unknown"
"""It was registered when the registry was last heard of, which is away now."""


class KnownRegistration:
    """A RegistrarAdapter that passes everything on to another one, and remembers how that went.

    `clock` gives seconds on a steady clock.
    """

    def __init__(
        self, registrar: RegistrarAdapter, registry: str = "", clock: Callable[[], float] = time.monotonic
    ) -> None:
        """`registry` is its name where there are several."""
        self._registrar = registrar
        self._where = f" {registry}" if registry else ""
        self._clock = clock
        self._heard_at: float | None = None
        self.state = REGISTERING
        self.reason = ""
        """Why the registry is not heard of; empty if it is."""

    @property
    def age(self) -> float | None:
        """Seconds since the registry last said something; None if it never did."""
        return None if self._heard_at is None else self._clock() - self._heard_at

    @property
    def is_found(self) -> bool:
        """Whether peers find the instance, as far as is known: what a registry had when it went away, they go on with."""
        return self.state in (REGISTERED, UNKNOWN)

    def describe(self) -> dict[str, object]:
        """As plain values."""
        age = self.age
        return {
            "state": self.state,
            "age": None if age is None else round(age, 3),
            "reason": self.reason or None,
        }

    async def register(self, registration: Registration) -> None:
        """See RegistrarAdapter."""
        await self._tell(self._registrar.register, registration)
        self.state = REGISTERED

    async def heartbeat(self, registration: Registration) -> bool:
        """See RegistrarAdapter."""
        is_known = await self._tell(self._registrar.heartbeat, registration)
        self.state = REGISTERED if is_known else REGISTERING
        return is_known

    async def suspend(self, registration: Registration) -> None:
        """See RegistrarAdapter."""
        await self._tell(self._registrar.suspend, registration)
        self.state = SUSPENDED

    async def withdraw(self, registration: Registration) -> None:
        """See RegistrarAdapter."""
        await self._tell(self._registrar.withdraw, registration)
        self.state = WITHDRAWN

    async def release(self, registration: Registration) -> None:
        """See RegistrarAdapter."""
        await self._registrar.release(registration)

    async def deregister(self, registration: Registration) -> None:
        """See RegistrarAdapter."""
        await self._tell(self._registrar.deregister, registration)
        self.state = WITHDRAWN

    async def _tell(self, call: Callable[[Registration], Awaitable[T]], registration: Registration) -> T:
        try:
            result = await call(registration)
        except Exception as error:
            self.reason = str(error) or type(error).__name__
            if self.state == REGISTERED:
                self.state = UNKNOWN
            raise
        self._heard_at = self._clock()
        if self.reason:
            self.reason = ""
            name = f"{registration.service} {registration.host}:{registration.port}"
            _log.info("the registry%s responds again for %s", self._where, name)
        return result
