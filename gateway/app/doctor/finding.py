"""What a check found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

OK: Final = "ok"
WARNING: Final = "warning"
FAILED: Final = "failed"
SKIPPED: Final = "skipped"


@dataclass(frozen=True, slots=True)
class Finding:
    """`check` is the kind of check, `subject` what was looked at, `state` one of the above.

    `hint` says what to do; it is there for whatever is not `ok`.
    """

    check: str
    subject: str
    state: str
    message: str
    hint: str = ""


def is_failure(findings: list[Finding]) -> bool:
    """Whether something is broken."""
    return any(finding.state == FAILED for finding in findings)
