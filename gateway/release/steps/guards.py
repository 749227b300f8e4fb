"""What the guards of an order's lanes say, asked of every gateway."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.release.steps.base import Look

IN_A_ROW = 2
"""Good windows after which a lane is as good as the baseline."""


@dataclass(frozen=True, slots=True)
class Guards:
    """What they say together: what is wrong with a lane, empty: nothing; the lanes that have no guard, and those that wait.

    A lane waits for its guard until some gateway has found it good, and none has found it worse: not all have traffic.
    """

    wrong: str
    unguarded: tuple[str, ...]
    waiting: tuple[str, ...]


async def ask_guards(look: Look) -> Guards:
    """Asks the gateways of the order's lanes. Raises MeshError."""
    mesh = look.world.mesh
    said = {admin: await mesh.guards(admin) for admin in mesh.gateways} if look.order.lanes else {}
    unguarded: list[str] = []
    waiting: list[str] = []
    for group, lane in look.order.lanes:
        name = f"{group}/{lane}"
        found = {admin: guard for admin, guards in said.items() if (guard := guards.get((group, lane))) is not None}
        for admin, guard in found.items():
            if guard.get("state") == "tripped":
                outcome = guard.get("outcome")
                done = "the rules could not be changed" if outcome == "failed" else f"it is {outcome}"
                wrong = f"the guard of lane {name} at {admin} found it worse than the baseline, {done}: {guard.get('reason')}"
                return Guards(wrong, (), ())
        if not found:
            unguarded.append(name)
        is_good = any(guard.get("state") == "good" and guard.get("windows", 0) >= IN_A_ROW for guard in found.values())
        if not is_good or any(guard.get("state") == "worse" for guard in found.values()):
            waiting.append(name)
    return Guards("", tuple(unguarded), tuple(waiting))
