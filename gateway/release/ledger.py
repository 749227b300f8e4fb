"""What is under way, in memory as it is in the database."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from gateway.errors import GatewayError
from gateway.release.order import Order
from gateway.release.states import ENDED, Action, State, after
from gateway.release.store import Change, Hold, Line, Store


class Ledger:
    """The orders that have not ended, in memory as they are in the database. Every change of one goes through `edit`."""

    def __init__(self, store: Store, now: Callable[[], float]) -> None:
        self.store = store
        self.now = now
        self.active: dict[int, Order] = {}
        self.holds: dict[str, Hold] = {}
        self.on_change: Callable[[Order], None] | None = None
        self._changed: dict[int, asyncio.Event] = {}
        self._heard = asyncio.Event()
        self._lock = asyncio.Lock()

    async def open(self) -> None:
        """Reads what there is. Raises StoreError."""
        self.active = {order.id: order for order in await self.store.active_orders()}
        self.holds = await self.store.holds()

    def changed(self, number: int) -> asyncio.Event:
        """An event that is set by the next change of an order."""
        event = self._changed.get(number)
        if event is None or event.is_set():
            event = self._changed[number] = asyncio.Event()
        return event

    def heard(self) -> asyncio.Event:
        """An event that is set by the next change of anything."""
        if self._heard.is_set():
            self._heard = asyncio.Event()
        return self._heard

    async def add(self, order: Order, line: Line) -> Order:
        """Takes a new order. Raises Conflict, Locked, StoreError."""
        async with self._lock:
            self._check_free(order)
            fresh = order.model_copy(deep=True)
            fresh.state = after(fresh.state, Action.START)
            holds = [self._hold(name, state="DEPLOYING") for name in order.environments]
            await self.store.write(Change([fresh], holds, audit=[line]))
            self._keep(fresh, holds)
            return fresh

    async def edit(self, number: int, work: Callable[[Change, float], None]) -> Order:
        """Changes an order: `work` is given a copy of it in a `Change`, and what it adds there is written with it.

        Raises NotThere if it has ended or never was, what `work` raises, and StoreError; then nothing has changed.
        """
        async with self._lock:
            order = self.active.get(number)
            if order is None:
                raise NotThere(f"there is no order {number} that has not ended")
            change = Change([order.model_copy(deep=True)])
            work(change, self.now())
            [fresh] = change.orders
            state = "ERROR" if fresh.state is State.FAILED else "DEPLOYING"
            if fresh.state in ENDED:
                state = "RUNNING"
                fresh.ended_at = self.now()
            change.environments = [
                self._hold(name, state=state)
                for name in fresh.environments
                if name in self.holds and name not in change.forgotten  # one that was forgotten stays so
            ]
            # Who has locked it still has: an environment of that name may be there again.
            change.environments += [
                self._hold(name, state="NEW")
                for name in change.forgotten
                if name in self.holds and self.holds[name].locked_by
            ]
            await self.store.write(change)
            for name in change.forgotten:
                self.holds.pop(name, None)
            self._keep(fresh, change.environments)
            return fresh

    async def edit_hold(
        self, name: str, work: Callable[[Hold, float], Hold], actor: str, action: str, reason: str
    ) -> Hold:
        """Changes who has locked an environment. Raises what `work` raises, and StoreError; then nothing has changed."""
        async with self._lock:
            now = self.now()
            hold = work(self.holds.get(name, Hold(name)), now)
            await self.store.write(Change(environments=[hold], audit=[Line(actor, action, name, reason, now)]))
            self.holds[name] = hold
            self._heard.set()
            return hold

    def owner(self, environment: str) -> Order | None:
        """The order that an environment is a part of now."""
        return next((order for order in self.active.values() if environment in order.environments), None)

    def _check_free(self, order: Order) -> None:
        for name in order.environments:
            hold = self.holds.get(name)
            if hold is not None and hold.locked_by:
                raise Locked(f"environment '{name}' is locked by {hold.locked_by}: {hold.locked_why}")
            other = self.owner(name)
            if other is not None:
                apps = ", ".join(other.releases)
                raise Conflict(
                    f"environment '{name}' is a part of order {other.id} ({apps}, by {other.actor}), which is {other.state}"
                )

    def _hold(self, name: str, state: str) -> Hold:
        old = self.holds.get(name, Hold(name))
        return Hold(name, state, old.locked_by, old.locked_why, old.locked_at)

    def _keep(self, order: Order, holds: list[Hold]) -> None:
        self.holds.update((hold.name, hold) for hold in holds)
        if order.state in ENDED:
            self.active.pop(order.id, None)
        else:
            self.active[order.id] = order
        event = self._changed.pop(order.id, None)
        if event is not None:
            event.set()
        self._heard.set()
        if self.on_change is not None:
            self.on_change(order)


class Conflict(GatewayError):
    """An environment is a part of another order."""


class Locked(GatewayError):
    """Somebody has locked an environment."""


class NotThere(GatewayError):
    """There is no such order, task or environment."""
