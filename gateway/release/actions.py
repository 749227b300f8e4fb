"""What people do to orders and environments. Each is one change with its line in the audit log, or is refused whole."""

from __future__ import annotations

from collections.abc import Callable

from gateway.errors import GatewayError
from gateway.release.engine import stop
from gateway.release.ledger import Ledger, NotThere
from gateway.release.order import TAKE_BACK, Approval, Order, Task
from gateway.release.states import Action, NotNow, State, after
from gateway.release.store import Change, Hold, Line


class NotAllowed(GatewayError):
    """Somebody may not do that."""


class Outdated(GatewayError):
    """An order has changed since whoever wants to change it has seen it."""


class Actions:
    """Does what `actor` wants, for a `reason`, to what a ledger keeps. Each raises GatewayError, and then nothing has changed."""

    def __init__(self, ledger: Ledger, revision: int | None = None) -> None:
        self._ledger = ledger
        self._revision = revision

    def at(self, revision: int) -> Actions:
        """The same, but each raises Outdated if its order is not at this revision any more."""
        return Actions(self._ledger, revision)

    async def run(self, order: Order) -> Order:
        """Begins an order."""
        names = ", ".join(f"{app} {release.version}" for app, release in order.releases.items())
        return await self._ledger.add(
            order, Line(order.actor, f"order.{order.kind}", names, order.reason, order.created_at)
        )

    async def suspend(self, number: int, actor: str, reason: str) -> Order:
        """Nothing new is begun; what is under way goes on."""
        return await self._do(number, actor, reason, "suspend", _to(Action.SUSPEND))

    async def resume(self, number: int, actor: str, reason: str) -> Order:
        """It goes on."""

        def work(order: Order, now: float) -> None:
            order.state, order.resumed_at = after(order.state, Action.RESUME), now

        return await self._do(number, actor, reason, "resume", work)

    async def retry(self, number: int, actor: str, reason: str) -> Order:
        """What failed is begun anew."""

        def work(order: Order, now: float) -> None:
            if any(task.stage == TAKE_BACK for task in order.tasks):
                stop(order, now)
                return
            order.state = after(order.state, Action.RETRY)
            for task in _failed(order):
                # When it was begun stays: taking the order back has to look at it, even before it begins anew.
                task.state, task.message, task.memory, task.approvals = State.INIT, "", {}, []
                task.ended_at = None

        return await self._do(number, actor, reason, "retry", work)

    async def skip(self, number: int, actor: str, reason: str) -> Order:
        """What failed is left out, and it goes on."""

        def work(order: Order, now: float) -> None:
            if any(task.stage == TAKE_BACK for task in order.tasks):
                raise NotNow("what is taken back is not skipped: retry, or close the order as it is")
            asked = next((task.name for task in _failed(order) if task.kind == "approve"), None)
            if asked is not None:
                raise NotAllowed(f"{asked} is an approval, which nobody skips: retry asks for it again")
            order.state = after(order.state, Action.SKIP)
            for task in _failed(order):
                task.state, task.ended_at = State.SKIPPED, now

        return await self._do(number, actor, reason, "skip", work)

    async def abort(self, number: int, actor: str, reason: str, keep: bool = False) -> Order:
        """Takes everything back: traffic first, then what was deployed. `keep`: a failed order ends as it is."""

        def work(order: Order, now: float) -> None:
            if keep:
                order.state = after(order.state, Action.CLOSE)
            elif order.state is State.STOPPING:
                raise NotNow("the order is being taken back already")
            else:
                stop(order, now)

        return await self._do(number, actor, reason, "close" if keep else "stop", work)

    async def vote(self, number: int, actor: str, reason: str, agrees: bool) -> Order:
        """Approves or refuses what waits for approval."""

        def work(order: Order, now: float) -> None:
            task = _waiting(order, {"approve"})
            allowed = task.spec.get("by") or []
            if allowed and actor not in allowed:
                raise NotAllowed(f"{actor} may not approve {task.name}; {', '.join(allowed)} may")
            if task.started_at is not None and now > task.started_at + float(task.spec["expires"]):
                raise NotNow(f"{task.name} is no longer waited for: its time is over")
            if any(said.by == actor for said in task.approvals):
                raise NotNow(f"{actor} has said so already")
            task.approvals.append(Approval(by=actor, agrees=agrees, reason=reason, at=now))

        return await self._do(number, actor, reason, "approve" if agrees else "refuse", work)

    async def promote(self, number: int, actor: str, reason: str, full: bool = False) -> Order:
        """Lets a pause end, or the next batch begin; `full`: all the batches."""

        def work(order: Order, _: float) -> None:
            task = _waiting(order, {"pause", "deploy"})
            if not full and task.promoted > task.memory.get("used", 0):
                raise NotNow(f"{task.name} has been promoted already")
            task.promoted += 1_000 if full else 1

        return await self._do(number, actor, reason, "promote", work)

    async def lock(self, environment: str, actor: str, reason: str) -> Hold:
        """Nobody begins an order on an environment any more; one that is under way goes on."""

        def work(hold: Hold, now: float) -> Hold:
            if hold.locked_by:
                raise NotNow(f"environment '{environment}' is locked already, by {hold.locked_by}: {hold.locked_why}")
            return Hold(environment, hold.state, actor, reason, now)

        return await self._ledger.edit_hold(environment, work, actor, "environment.lock", reason)

    async def unlock(self, environment: str, actor: str, reason: str) -> Hold:
        """The contrary. Whoever may use the server may unlock: the audit log says who did."""

        def work(hold: Hold, _: float) -> Hold:
            if not hold.locked_by:
                raise NotNow(f"environment '{environment}' is not locked")
            return Hold(environment, hold.state)

        return await self._ledger.edit_hold(environment, work, actor, "environment.unlock", reason)

    async def _do(
        self, number: int, actor: str, reason: str, action: str, work: Callable[[Order, float], None]
    ) -> Order:
        def edit(change: Change, now: float) -> None:
            order = change.orders[0]
            if self._revision not in (None, order.revision):
                raise Outdated(f"order {number} has changed in the meantime: it is at revision {order.revision}")
            work(order, now)
            change.audit.append(Line(actor, f"order.{action}", str(number), reason, now, number))

        return await self._ledger.edit(number, edit)


def _to(action: Action) -> Callable[[Order, float], None]:
    def work(order: Order, _: float) -> None:
        order.state = after(order.state, action)

    return work


def _failed(order: Order) -> list[Task]:
    return [task for task in order.tasks if task.state is State.FAILED]


def _waiting(order: Order, kinds: set[str]) -> Task:
    """The task that waits for a person. Raises NotNow."""
    if order.state not in (State.RUNNING, State.SUSPENDED):
        raise NotNow(f"an order that is {order.state} waits for nobody")
    for task in order.current():
        if task.state is State.SUSPENDED and task.kind in kinds:
            return task
    raise NotThere(f"nothing in order {order.id} waits for that now")
