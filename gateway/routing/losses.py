"""Calls that may have lost their lane: they carried nothing known while a marked request was in flight.

The application has to carry the tag or an id from a request to the calls that it causes. If one of its clients does not, a
sidecar cannot tell whose call it is, and treats it as unmarked. That must not go unnoticed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from gateway.telemetry.names import MOST, OTHER

NO_ID: Final = "no_id"
"""The call carried no id at all: the client that made it forwards nothing."""
UNKNOWN_ID: Final = "unknown_id"
"""It carried an id that no request here has had: the client began a trace of its own."""


class Losses:
    """Counts them by service called and reason. `seen` is called once for each of these pairs.

    It is a suspicion: a call that a timer or a queue caused looks the same.
    """

    __slots__ = ("_seen", "counts")

    def __init__(self, seen: Callable[[str, str], None]) -> None:
        self._seen = seen
        self.counts: dict[tuple[str, str], int] = {}

    def add(self, service: str, has_id: bool) -> None:
        """Counts a call to a service."""
        reason = UNKNOWN_ID if has_id else NO_ID
        key = (service, reason)
        count = self.counts.get(key, 0)
        if not count:
            if len(self.counts) >= MOST:
                key = (OTHER, reason)
                count = self.counts.get(key, 0)
            else:
                self._seen(service, reason)
        self.counts[key] = count + 1
