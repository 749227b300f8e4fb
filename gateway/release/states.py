"""The states of orders and tasks, and the one table of what leads from one to another.

The names are those of AppStack's change orders (部署单). `docs/release.md` shows the table, made from this module by a test.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from typing import Final

from gateway.errors import GatewayError


class State(StrEnum):
    """Of an order, of a task, and of the jobs and stages between them."""

    INIT = "INIT"
    """Not begun."""
    RUNNING = "RUNNING"
    SUSPENDED = "SUSPENDED"
    """Waits for a person."""
    STOPPING = "STOPPING"
    """Takes back what it did."""
    FAILED = "FAILED"
    """Stopped by an error. It may be retried, skipped or taken back."""
    SUCCESS = "SUCCESS"
    CANCELED = "CANCELED"
    """Taken back, or closed as it is."""
    SKIPPED = "SKIPPED"
    """A task that a person had left out."""


class Action(StrEnum):
    """What people and the engine do to an order."""

    START = "start"
    SUSPEND = "suspend"
    RESUME = "resume"
    RETRY = "retry"
    SKIP = "skip"
    STOP = "stop"
    CLOSE = "close"
    """Ends an order as it is: nothing is taken back."""
    FAIL = "fail"
    """A task failed."""
    FINISH = "finish"
    """Every task is done."""


ORDERS: Final[dict[tuple[State, Action], State]] = {
    (State.INIT, Action.START): State.RUNNING,
    (State.INIT, Action.STOP): State.STOPPING,
    (State.RUNNING, Action.SUSPEND): State.SUSPENDED,
    (State.RUNNING, Action.FAIL): State.FAILED,
    (State.RUNNING, Action.FINISH): State.SUCCESS,
    (State.RUNNING, Action.STOP): State.STOPPING,
    (State.SUSPENDED, Action.RESUME): State.RUNNING,
    (State.SUSPENDED, Action.STOP): State.STOPPING,
    (State.FAILED, Action.RETRY): State.RUNNING,
    (State.FAILED, Action.SKIP): State.RUNNING,
    (State.FAILED, Action.STOP): State.STOPPING,
    (State.FAILED, Action.CLOSE): State.CANCELED,
    (State.STOPPING, Action.FAIL): State.FAILED,
    (State.STOPPING, Action.FINISH): State.CANCELED,
}
"""What an action makes of an order; what is not here is refused."""

ENDED: Final = frozenset({State.SUCCESS, State.CANCELED})
"""An order that holds its environments no more."""
SETTLED: Final = frozenset({State.SUCCESS, State.CANCELED, State.FAILED, State.SKIPPED})
"""A task that nothing is done for."""
PASSED: Final = frozenset({State.SUCCESS, State.SKIPPED})
"""A task that the next may follow."""


class NotNow(GatewayError):
    """An action that the state of an order does not allow."""


def after(state: State, action: Action) -> State:
    """The state that an action leads to. Raises NotNow."""
    found = ORDERS.get((state, action))
    if found is None:
        possible = ", ".join(
            sorted(known for at, known in ORDERS if at is state and known not in (Action.FAIL, Action.FINISH))
        )
        raise NotNow(f"an order that is {state} cannot {action}; it can: {possible or 'nothing'}")
    return found


def summary(states: Iterable[State]) -> State:
    """The state of a job or a stage, of those of its tasks."""
    found = set(states)
    for state in (State.FAILED, State.STOPPING, State.RUNNING, State.SUSPENDED):
        if state in found:
            return state
    if found <= PASSED:
        return State.SUCCESS
    if State.CANCELED in found:
        return State.CANCELED
    return State.RUNNING if found & PASSED else State.INIT
