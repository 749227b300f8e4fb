"""The table of states."""

from __future__ import annotations

import pytest

from gateway.release.states import ENDED, ORDERS, Action, NotNow, State, after, summary


def test_an_order_that_has_ended_does_nothing_more() -> None:
    assert [pair for pair in ORDERS if pair[0] in ENDED] == []
    with pytest.raises(NotNow, match="an order that is SUCCESS cannot retry; it can: nothing"):
        after(State.SUCCESS, Action.RETRY)


def test_every_state_leads_to_an_end() -> None:
    for state in {state for state, _ in ORDERS}:
        reached, new = {state}, {state}
        while new:
            new = {to for (at, _), to in ORDERS.items() if at in new} - reached
            reached |= new
        assert reached & ENDED


@pytest.mark.parametrize(
    ("states", "expected"),
    [
        ([State.SUCCESS, State.SKIPPED], State.SUCCESS),
        ([State.SUCCESS, State.INIT], State.RUNNING),
        ([State.INIT, State.INIT], State.INIT),
        ([State.SUCCESS, State.FAILED, State.RUNNING], State.FAILED),
        ([State.SUCCESS, State.SUSPENDED], State.SUSPENDED),
        ([State.SUCCESS, State.CANCELED], State.CANCELED),
    ],
)
def test_a_job_is_as_its_tasks_are(states: list[State], expected: State) -> None:
    assert summary(states) is expected
