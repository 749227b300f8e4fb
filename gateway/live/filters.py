"""Which records somebody wants to see."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from gateway.grpc.status import NAMES, OK
from gateway.live.store import Stored

ERROR: Final = "ERROR"
"""Any status of gRPC but OK."""
_STATUS: Final = re.compile(r"([1-5])(\d\d|xx)")
_NUMBER: Final = re.compile(r"\d{1,12}(\.\d{1,6})?")
_TRACE: Final = re.compile(r"[0-9a-f]{32}")


class FilterError(ValueError):
    """What is wrong with a filter: the name, the value, and the accepted form."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordFilter:
    """What a record must be; an empty text asks nothing.

    `status` is `404` or `4xx`, `grpc_status` the name of a status or `ERROR`, `path` how the path begins, `since` seconds since
    the epoch.
    """

    lane: str = ""
    service: str = ""
    status: str = ""
    grpc_status: str = ""
    path: str = ""
    fallback: bool | None = None
    since: float = 0.0
    trace: str = ""

    @staticmethod
    def of(given: Mapping[str, str]) -> RecordFilter:
        """The filter that parameters describe. Raises FilterError."""
        unknown = set(given) - _NAMES
        if unknown:
            raise FilterError(f"there is no filter {min(unknown)[:100]!r}; there are {', '.join(sorted(_NAMES))}")
        status, trace = given.get("status", "").lower(), given.get("trace", "").lower()
        if status and _STATUS.fullmatch(status) is None:
            raise FilterError(f"status is 404 or 4xx, not {status[:100]!r}")
        grpc_status = given.get("grpc_status", "").upper()
        if grpc_status and grpc_status != ERROR and grpc_status not in NAMES:
            raise FilterError(
                f"grpc_status is the name of a status, or error, not {grpc_status[:100]!r}: {', '.join(NAMES)}"
            )
        if trace and _TRACE.fullmatch(trace) is None:
            raise FilterError(f"trace is 32 hexadecimal digits, not {trace[:100]!r}")
        return RecordFilter(
            lane=given.get("lane", ""),
            service=given.get("service", ""),
            status=status,
            grpc_status=grpc_status,
            path=given.get("path", ""),
            fallback=_truth("fallback", given.get("fallback", "")),
            since=_moment("since", given.get("since", "")),
            trace=trace,
        )

    def takes(self, stored: Stored) -> bool:
        """Whether a record is wanted. A lane is meant by its name, or by `GROUP/LANE`."""
        record = stored.record
        if self.lane and self.lane not in (record.lane, f"{record.group}/{record.lane}"):
            return False
        if self.service and self.service != record.service:
            return False
        if self.status:
            status = str(record.status)
            if status != self.status and f"{status[0]}xx" != self.status:
                return False
        if self.grpc_status:
            called = record.grpc_status
            if called != self.grpc_status and (self.grpc_status != ERROR or called in ("", NAMES[OK])):
                return False
        if self.fallback is not None and self.fallback != bool(record.fallback):
            return False
        if self.trace and self.trace != record.trace_id:
            return False
        return record.time >= self.since and record.path.startswith(self.path)


_NAMES: Final = frozenset({"lane", "service", "status", "grpc_status", "path", "fallback", "since", "trace"})


def _truth(name: str, text: str) -> bool | None:
    if text not in ("", "true", "false"):
        raise FilterError(f"{name} is true or false, not {text[:100]!r}")
    return None if not text else text == "true"


def _moment(name: str, text: str) -> float:
    if not text:
        return 0.0
    if _NUMBER.fullmatch(text):
        return float(text)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise FilterError(f"{name} is seconds since 1970 or a time like 2026-01-31T12:00:00Z, not {text[:100]!r}")
    return moment.timestamp()
