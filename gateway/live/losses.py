"""Where calls lost the tag of their request of late, as the sidecars saw it that deliver records here."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from gateway.live.store import Stored


def losses(found: Iterable[Stored], began: float) -> list[dict[str, Any]]:
    """The calls since a time (in seconds since the epoch) that lost a tag, as plain values, the latest first.

    From which service to which, which tag (None where nobody can tell), why, and how often.
    """
    counted: dict[tuple[str, str, str, str], dict[str, Any]] = {}
    for stored in found:
        record = stored.record
        if not record.lost or record.time < began:
            continue
        key = stored.reporter.name, record.service, record.lost_tag, record.lost
        loss = counted.setdefault(
            key,
            {
                "from": key[0],
                "to": key[1],
                "tag": key[2] or None,
                "why": key[3],
                "count": 0,
                "last": 0.0,
                "trace_id": None,
            },
        )
        loss["count"] += 1
        if record.time >= loss["last"]:
            loss |= {"last": record.time, "trace_id": record.trace_id or None}
    return sorted(counted.values(), key=lambda loss: -loss["last"])
