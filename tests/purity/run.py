"""`make purity`: requests through the whole mesh under churn, for minutes or hours.

    python -m tests.purity --seconds 120 --seed 7 --registry consul

Faults are drawn from the seed, which is printed. Without `--registry`, each registry that this machine has takes its turn.
Exits with 1 on a violation; each says which request it was, its way as its gateway and sidecars recorded it, and what happened
around it. What counts as one, and what is excused: `judge.py`. The log files of all processes stay in a folder that is named.
"""

from __future__ import annotations

import asyncio
import random
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from tests.purity.faults import AROUND, INSTANCES, Fault, inflict, inflict_one
from tests.purity.judge import SERVICES, Judge, Violation
from tests.purity.load import Load
from tests.purity.mesh import Mesh, NotRecovered

MOST_SHOWN: Final = 10
"""Violations of a kind that are shown in full."""
DELIVERY: Final = 2.0
"""Seconds after which records of a request have been delivered."""


class Churn:
    """One run on one registry. With `script`, these faults one after the other instead of a time of random ones."""

    def __init__(self, folder: Path, registry: str, seed: int, rate: float, say: Callable[[str], None]) -> None:
        self._say = say
        self._seed = seed
        self._shown: Counter[str] = Counter()
        self._showing: set[asyncio.Task[None]] = set()
        loop = asyncio.get_running_loop()
        self._began = loop.time()
        self.judge = Judge(lambda: loop.time() - self._began, self._show)
        self.mesh = Mesh(folder, registry, self.judge, random.Random(f"{seed} mesh"))
        self.pace = ""
        """How many requests were sent a second, and what that has cost."""
        self._load = Load(self.mesh.port, rate, self.judge, random.Random(f"{seed} load"))

    async def run(self, seconds: float, script: Sequence[Fault] = ()) -> Judge:
        """Everything, from the start to the end."""
        self._say(f"applications forward: {self.mesh.modes}")
        try:
            await self.mesh.start()
            began, spent = time.monotonic(), time.process_time()
            with self.judge.trouble("the start"):
                self._load.start()
                await self.mesh.settle(*SERVICES)
            try:
                if script:
                    for number, fault in enumerate(script):
                        await inflict_one(self.mesh, fault, random.Random(f"{self._seed} {number}"))
                else:
                    await self._inflict(seconds)
            except NotRecovered as error:
                self.judge.counts["not recovered"] += 1
                self._say(f"NOT RECOVERED: {error}")
                self._say("\n".join(self.judge.latest()))
            took, spent = time.monotonic() - began, time.process_time() - spent
            requests = self.judge.counts["requests"]
            self.pace = (
                f"{requests / took:.0f} requests/s, {1000 * spent / requests:.2f} ms of CPU for each beside the mesh's"
            )
            await self._load.close()
            await asyncio.gather(*self._showing)
        finally:
            await self.mesh.close()
        return self.judge

    async def _inflict(self, seconds: float) -> None:
        hands = [
            asyncio.create_task(inflict(self.mesh, faults, random.Random(f"{self._seed} {name}")))
            for name, faults in (("instances", INSTANCES), ("around", AROUND))
        ]
        try:
            done, _ = await asyncio.wait(hands, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
            for hand in done:
                hand.result()
        finally:
            for hand in hands:
                hand.cancel()
            await asyncio.gather(*hands, return_exceptions=True)

    def _show(self, violation: Violation) -> None:
        self._shown[violation.kind] += 1
        if self._shown[violation.kind] <= MOST_SHOWN:
            task = asyncio.create_task(self._show_with_chain(violation))
            self._showing.add(task)

    async def _show_with_chain(self, violation: Violation) -> None:
        await asyncio.sleep(DELIVERY)
        records = await self.mesh.chain(violation.sent.trace)
        self._say("\n".join([str(violation), *(f"  record: {line}" for line in records)]))


def is_clean(judge: Judge) -> bool:
    """Whether everything was where it belongs, and everything recovered."""
    return not judge.violations and not judge.counts["not recovered"]


def table(judge: Judge) -> str:
    """What was counted."""
    always = ("failed", "unmarked on gray", "marked not on gray", "wrong service")
    for name in always:
        judge.counts.setdefault(name, 0)
    return "\n".join(f"  {name:<40}{count:>10,}" for name, count in sorted(judge.counts.items()))


async def churn(registries: Sequence[str], seconds: float, seed: int, rate: float) -> bool:
    """Runs on each registry in turn; whether all was well."""
    good = True
    for registry in registries:
        folder = Path(tempfile.mkdtemp(prefix=f"purity-{registry}-"))
        print(f"{registry}: seed {seed}, {seconds:g} s, {rate:g} requests/s; logs in {folder}", flush=True)
        run = Churn(folder, registry, seed, rate, lambda text: print(text, flush=True))
        judge = await run.run(seconds)
        print(f"{registry}, seed {seed}: {run.pace}\n{table(judge)}", flush=True)
        good = good and is_clean(judge)
    return good
