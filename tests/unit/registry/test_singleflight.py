"""Work done once for all who want it at the same time."""

from __future__ import annotations

import asyncio

from gateway.registry.singleflight import SingleFlight


class Work:
    def __init__(self) -> None:
        self.times = 0
        self.gate = asyncio.Event()
        self.error: Exception | None = None

    async def do(self) -> int:
        self.times += 1
        await self.gate.wait()
        if self.error:
            raise self.error
        return self.times


async def test_who_comes_meanwhile_gets_the_same() -> None:
    joint, work = SingleFlight[int](), Work()
    tasks = [asyncio.create_task(joint.run(work.do)) for _ in range(3)]
    await asyncio.sleep(0)
    tasks[0].cancel()  # who gives up leaves it to the others
    work.gate.set()
    assert await asyncio.gather(*tasks[1:]) == [1, 1]
    assert not joint.is_running
    assert await joint.run(work.do) == 2


async def test_a_failure_is_everybodys_and_the_next_tries_again() -> None:
    joint, work = SingleFlight[int](), Work()
    work.error = ValueError("no")
    work.gate.set()
    failures = await asyncio.gather(*(joint.run(work.do) for _ in range(3)), return_exceptions=True)
    assert [type(failure) for failure in failures] == [ValueError] * 3
    assert work.times == 1
    work.error = None
    assert await joint.run(work.do) == 2
