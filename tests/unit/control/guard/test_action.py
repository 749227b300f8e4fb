"""What a guard changes of a lane that is worse."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.control.guard.action import Action, action_of
from gateway.rules.model import Lane
from tests.support.rules import NOW

SCHEDULE = {"start": "2027-01-15T07:30:00Z", "steps": ["1", "10"], "over": "2h"}
"""At NOW it is at 1 %."""
HELD = Action("held", "held at 1 % by its guard", {("schedule", "hold"): 1})
WARNED = Action("warned", "worse than the baseline", {})


def lane(then: str, **values: Any) -> Lane:
    plain = {"name": "gray", "tag": "gray", "match": [{"cookie": "uid", "percent": "50"}], **values}
    return Lane.model_validate({**plain, "guard": {"errors": "+2%", "then": then}})


@pytest.mark.parametrize(
    ("lane", "action"),
    [
        (lane("close"), Action("closed", "closed by its guard", {("enabled",): False})),
        (lane("warn"), WARNED),
        (lane("warn", schedule=SCHEDULE), HELD),
        (lane("warn", schedule={**SCHEDULE, "hold": "1"}), WARNED),
        (
            lane("shrink to 1 %"),
            Action("shrunk", "shrunk from 50 % to 1 % by its guard", {("match", 0, "percent"): 1}),
        ),
        (
            lane("shrink to 0.5 %", schedule=SCHEDULE),
            Action(
                "shrunk",
                "shrunk from 1 % to 0.5 % by its guard",
                {("match", 0, "percent"): 0.5, ("schedule",): None},
            ),
        ),
        # Nothing is left to shrink.
        (lane("shrink to 50 %"), WARNED),
        (lane("shrink to 1 %", schedule=SCHEDULE), HELD),
        (
            lane(
                "shrink to 1 %",
                match=[{"param": "a", "exists": True}, {"not": {"not": {"client_ip": {"percent": "50"}}}}],
            ),
            Action(
                "shrunk",
                "shrunk from 50 % to 1 % by its guard",
                {("match", 1, "not", "not", "client_ip", "percent"): 1},
            ),
        ),
    ],
)
def test_what_is_done(lane: Lane, action: Action) -> None:
    assert action_of(lane, NOW) == action
