"""The steps that wait for people, and for time."""

from __future__ import annotations

from gateway.release.model import ApproveStep, PauseStep
from gateway.release.steps.base import Look, Outcome, done, failed, waiting


async def approve(look: Look) -> Outcome:
    """The step `approve`."""
    spec = ApproveStep.model_validate(look.task.spec)
    said = look.task.approvals
    for item in said:
        if not item.agrees:
            return failed(f"{item.by} refused: {item.reason}")
    agreed = [item.by for item in said]
    if len(agreed) >= spec.count:
        return done(f"approved by {', '.join(agreed)}")
    if look.elapsed > spec.expires:
        return failed(
            f"nobody approved within {spec.expires:g} s"
            if not agreed
            else f"{len(agreed)} of {spec.count} approved in time"
        )
    whom = f" of {', '.join(spec.by)}" if spec.by else ""
    return waiting(f"waits for the approval{whom}: {len(agreed)} of {spec.count}", round(len(agreed) / spec.count, 2))


async def pause(look: Look) -> Outcome:
    """The step `pause`."""
    spec = PauseStep.model_validate(look.task.spec)
    if look.task.promoted:
        return done("promoted")
    if spec.duration is None:
        return waiting("paused until somebody promotes it")
    if look.elapsed >= spec.duration:
        return done(f"paused for {spec.duration:g} s")
    return waiting(f"pauses for {spec.duration:g} s", round(look.elapsed / spec.duration, 1))
