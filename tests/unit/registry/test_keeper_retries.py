"""How long the keeper waits before it asks a registry again that did not respond."""

from __future__ import annotations

import random
from collections.abc import AsyncGenerator

from gateway.errors import RegistryError
from gateway.registry import keeper
from gateway.registry.base import Listing
from gateway.registry.keeper import Keeper
from tests.support.wait import until


async def test_the_pauses_between_questions_grow_to_a_bound_and_are_short_while_it_warms_up() -> None:
    pauses: list[tuple[float, float]] = []

    class Noted(random.Random):
        def uniform(self, a: float, b: float) -> float:
            pauses.append((a, b))
            return 0.0

    class Away:
        kind = "away"
        is_authoritative = False
        reasons: list[str] = []

        async def watch(self, service: str) -> AsyncGenerator[Listing, None]:
            if self.kind:
                raise RegistryError(self.reasons.pop(0) if self.reasons else "unreachable", "cannot reach it")
            yield Listing(())

        def describe(self) -> dict[str, object]:
            return {}

        async def close(self) -> None:
            pass

    def longest(*failures: int) -> list[tuple[float, float]]:
        first, most = keeper.FIRST_RETRY, keeper.LONGEST_RETRY
        return [(first / 2, min(most, first * 2**count)) for count in failures]

    for reasons, failures in (([], range(12)), (["unreachable"] * 5 + ["warming"] * 3, [0, 1, 2, 3, 4, 2, 2, 2, 3])):
        away = Away()
        away.reasons = list(reasons)
        pauses.clear()
        kept = Keeper(away, lambda *_: None, rng=Noted())
        kept.watch("a")
        await until(lambda: len(pauses) >= 12)
        await kept.close()
        assert pauses[: len(failures)] == longest(*failures)
