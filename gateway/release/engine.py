"""Orders at work: looks at what is, does the next thing, and writes down how far it is.

One loop an order. Whatever it finds out is written in one transaction before anybody sees it; what cannot be written has not
happened, and is found out again. So the loop may be killed at any point: begun anew, it looks at what is and goes on.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress

from gateway.errors import GatewayError
from gateway.release.ledger import Ledger
from gateway.release.order import TAKE_BACK, Order, Task
from gateway.release.plan import plan_take_back
from gateway.release.states import ENDED, SETTLED, Action, State, after
from gateway.release.steps.base import LOOK, Look, Outcome, StepRunner, World
from gateway.release.store import Change, Line, StoreError

_log = logging.getLogger("gateway.release")

RETRY = 1.0
"""Seconds after which a look that failed is tried again."""
FAULT = "the release server has a fault here; its log says more"
ENGINE = "release server"
"""Who did what nobody asked for."""

Steps = Mapping[str, StepRunner]
Around = Callable[[Order], Awaitable[World]]
"""Makes what an order's steps look at."""


class Engine:
    """Runs orders that a `Ledger` keeps; `world` is what their steps look at.

    `abandon` ends what a cancelled task still has running, and says whether it is gone.
    """

    def __init__(
        self, ledger: Ledger, steps: Steps, world: Around, abandon: Callable[[Order, Task, float], bool] | None = None
    ) -> None:
        self._ledger = ledger
        self._steps = steps
        self._world = world
        self._abandon = abandon
        self._loops: dict[int, asyncio.Task[None]] = {}

    def start(self) -> None:
        """Goes on with every order that has not ended, and begins those that come."""
        self._ledger.on_change = self.follow
        for order in self._ledger.active.values():
            self.follow(order)

    async def close(self) -> None:
        """Ends, wherever it is: what is under way goes on without it."""
        self._ledger.on_change = None
        loops = list(self._loops.values())
        for loop in loops:
            loop.cancel()
        await asyncio.gather(*loops, return_exceptions=True)

    def follow(self, order: Order) -> None:
        """Has a loop for an order, if it needs one."""
        if order.id not in self._loops and order.state not in ENDED:
            loop = asyncio.get_running_loop().create_task(self._run(order.id), name=f"order {order.id}")
            self._loops[order.id] = loop
            loop.add_done_callback(lambda _: self._loops.pop(order.id, None))

    async def _run(self, number: int) -> None:
        while number in self._ledger.active:
            changed = self._ledger.changed(number)
            delay: float | None = RETRY
            try:
                delay = await self.look(number)
            except GatewayError as error:
                _log.warning("order %d: %s; it is looked at again in %g s", number, error, RETRY)
            except Exception:  # noqa: BLE001 - nobody else would begin the loop anew
                _log.exception("order %d: unexpected; it is looked at again in %g s", number, RETRY)
            if delay != 0.0:
                with suppress(TimeoutError):
                    await asyncio.wait_for(changed.wait(), delay)

    async def look(self, number: int) -> float | None:
        """One look at an order. Returns the seconds until the next; None: when something changes.

        Raises StoreError if it cannot be written what was found out.
        """
        order = self._ledger.active[number]
        if order.state not in (State.RUNNING, State.STOPPING):
            return None
        if order.state is State.STOPPING and self._abandon is not None:
            stopped = [task for task in order.tasks if task.state is State.CANCELED and task.started_at is not None]
            gone = [self._abandon(order, task, self._ledger.now()) for task in stopped]
            if not all(gone):
                return LOOK
        tasks = order.current()
        begun = [task.name for task in tasks if task.state is State.INIT]
        if begun:
            await self._ledger.edit(number, lambda change, now: _begin(change, begun, now))
            return 0.0
        if not tasks:
            await self._ledger.edit(number, _settle)
            return 0.0
        try:
            world = await self._world(order)
        except StoreError:
            raise
        except GatewayError as error:  # said where people look
            outcomes = [Outcome(task.state, str(error), task.progress, RETRY) for task in tasks]
        else:
            outcomes = await asyncio.gather(*(self._step(Look(order, task, world)) for task in tasks))
        found = {task.name: outcome for task, outcome in zip(tasks, outcomes, strict=True)}
        if any(_differs(task, found[task.name]) for task in tasks):
            await self._ledger.edit(number, lambda change, now: _take(change, found, now))
            return 0.0
        return min((outcome.delay for outcome in outcomes), default=None)

    async def _step(self, look: Look) -> Outcome:
        try:
            return await self._steps[look.task.kind](look)
        except StoreError:
            raise
        except GatewayError as error:
            # Something is away for now: nothing is lost by asking again. The step's own time-out ends it.
            limit = float(look.task.spec.get("timeout") or 600.0)
            if look.at_work > limit:
                return Outcome(State.FAILED, f"not done within {limit:g} s: {error}")
            return Outcome(look.task.state, str(error), look.task.progress, RETRY)
        except Exception:  # noqa: BLE001 - a bug in one step must neither end the order nor hide
            _log.exception("order %d: %s failed unexpectedly", look.order.id, look.task.name)
            return Outcome(look.task.state, FAULT, look.task.progress, RETRY)


def _begin(change: Change, names: list[str], now: float) -> None:
    order = change.orders[0]
    for name in names:
        task = order.find(name)
        if task is not None and task.state is State.INIT:
            task.state, task.started_at, task.attempts = State.RUNNING, now, task.attempts + 1


def _differs(task: Task, outcome: Outcome) -> bool:
    return (
        task.state is not outcome.state
        or task.message != outcome.message
        or task.progress != outcome.progress
        or (outcome.memory is not None and outcome.memory != task.memory)
    )


def _take(change: Change, found: Mapping[str, Outcome], now: float) -> None:
    """Notes what was found out of tasks that are still under way."""
    order = change.orders[0]
    for name, outcome in found.items():
        task = order.find(name)
        if task is None or task.state in SETTLED:
            continue  # somebody was quicker
        task.state, task.message, task.progress = outcome.state, outcome.message, outcome.progress
        if outcome.memory is not None:
            task.memory = outcome.memory
        change.versions.extend(outcome.versions)
        change.forgotten.extend(outcome.forgotten)
        if outcome.state in SETTLED:
            task.ended_at = now
            action = f"task.{outcome.state.lower()}"
            change.audit.append(Line(ENGINE, action, task.name, outcome.message, now, order.id))
    _settle(change, now)


def _settle(change: Change, now: float) -> None:
    """Ends or stops an order whose tasks leave nothing to be done."""
    order = change.orders[0]
    if order.state not in (State.RUNNING, State.STOPPING) or order.current():
        return
    if order.is_through():
        order.state = after(order.state, Action.FINISH)
        change.audit.append(Line(ENGINE, f"order.{order.state.lower()}", str(order.id), "", now, order.id))
        return
    broken = [task for task in order.tasks if task.state is State.FAILED]
    if order.state is State.RUNNING and any(task.memory.get("take_back") for task in broken):
        change.audit.append(Line(ENGINE, "order.stop", str(order.id), "a verification failed", now, order.id))
        stop(order, now)
        return
    order.state = after(order.state, Action.FAIL)
    change.audit.append(Line(ENGINE, "order.failed", str(order.id), broken[0].message if broken else "", now, order.id))


def stop(order: Order, now: float) -> None:
    """Begins to take an order back. Raises NotNow."""
    order.state = after(order.state, Action.STOP)
    order.tasks = [task for task in order.tasks if task.stage != TAKE_BACK]
    for task in order.tasks:
        if task.state not in SETTLED:
            task.state, task.ended_at = State.CANCELED, now if task.started_at is not None else None
    order.tasks += plan_take_back(order)
