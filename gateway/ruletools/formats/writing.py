"""From lanes of ours to a foreign format: what every export has to say of what it leaves out."""

from __future__ import annotations

from collections.abc import Callable, Container
from typing import Any, TypeVar

from gateway.rules.conditions import Condition
from gateway.rules.model import Lane, LaneGroup
from gateway.ruletools.formats.outcome import Loss, Unfit

Document = TypeVar("Document")

_GROUP: dict[str, str] = {
    "order": "groups have no order there; the group's place among others is left out",
    "baseline": "which instances are the baseline cannot be expressed there; left out",
}
_LANE: dict[str, str] = {
    "owner": "lanes have no owner there; left out",
    "expires": "lanes do not close automatically there; it stays open until someone closes it",
    "strict": "there is no strict lane there; a service without an instance of the tag is served by its baseline",
    "debug": "there is no debug header there; left out",
    "mirror": "there are no copies of the baseline's requests there; left out",
    "fault": "there are no drills there; left out",
    "schedule": "shares do not grow by themselves there; the lane has its whole `percent` at once",
    "guard": "there are no guards there; nobody closes the lane if it is worse than the baseline",
    "sticky": "there is no cookie that keeps clients in a share there; left out",
}


def group_losses(group: LaneGroup) -> list[Loss]:
    """The losses of what no foreign group says."""
    return [Loss(f"{group.name} {key}", text) for key, text in _GROUP.items() if _is_set(group, key)]


def written(
    group: LaneGroup, says: Container[str], write: Callable[[Lane, list[Loss]], Document], losses: list[Loss]
) -> list[Document]:
    """The lanes as `write` has them; those with a condition that it cannot say are left out, with a loss.

    `says` are the fields of a lane that the format has beside tag, name and conditions. Places in what `write` reports
    are those within the lane.
    """
    found = []
    for lane in group.lanes:
        place = f"{group.name}/{lane.name}"
        reports: list[Loss] = []
        try:
            found.append(write(lane, reports))
        except Unfit as unfit:
            reports = [Loss(unfit.place, f"{unfit.message}; the lane is left out")]
        else:
            reports += [Loss(key, text) for key, text in _LANE.items() if key not in says and _is_set(lane, key)]
        losses += [Loss(f"{place} {report.place}", report.message) for report in reports]
    return found


def refusal(place: str, condition: Condition, system: str) -> Unfit:
    """For a condition that a system has no word for."""
    shown = condition.model_dump(by_alias=True, exclude_none=True, exclude_defaults=True, mode="json")
    return Unfit(place, f"{system} cannot express {shown}")


def show_number(value: float) -> str:
    """A number without a needless fraction."""
    return f"{value:.15g}"


def _is_set(model: LaneGroup | Lane, key: str) -> bool:
    value: Any = getattr(model, key)
    return bool(value != type(model).model_fields[key].default)
