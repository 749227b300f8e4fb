"""Every kind of step, and what does it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from gateway.release.steps.base import StepRunner
from gateway.release.steps.commands import build, run
from gateway.release.steps.deploy import deploy, restore
from gateway.release.steps.lanes import cleanup, lane
from gateway.release.steps.people import approve, pause
from gateway.release.steps.verify import verify

STEPS: Final[Mapping[str, StepRunner]] = {
    "build": build,
    "approve": approve,
    "deploy": deploy,
    "lane": lane,
    "verify": verify,
    "pause": pause,
    "cleanup": cleanup,
    "run": run,
    "restore": restore,  # what taking back consists of, beside lanes that close
}
