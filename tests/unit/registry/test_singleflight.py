"""Work done once for all who want it at the same time."""

from __future__ import annotations

import asyncio
import gc

from gateway.registry.singleflight import SingleFlight
from tests.support.wait import until


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


async def test_what_nobody_waits_for_any_more_fails_without_a_word() -> None:
    """All who wanted it gave up; the loop is not to complain that the failure was never looked at, nor of a cancellation."""
    complaints: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
    for error in (ValueError("no"), asyncio.CancelledError()):
        joint, gate = SingleFlight[int](), asyncio.Event()

        async def work(gate: asyncio.Event = gate, error: BaseException = error) -> int:
            await gate.wait()
            raise error

        waiting = asyncio.create_task(joint.run(work))
        await asyncio.sleep(0)
        assert joint.is_running
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        gate.set()
        await until(lambda: not joint.is_running)  # noqa: B023
    gc.collect()
    assert complaints == []
