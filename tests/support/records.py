"""Request records without requests."""

from __future__ import annotations

from typing import Any

from gateway.telemetry.request_record import RequestRecord

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


def record(**values: Any) -> RequestRecord:
    """A baseline request to service `a`, with these values instead."""
    plain: dict[str, Any] = {
        "time": 1000.0,
        "listener": "entry",
        "method": "GET",
        "host": "shop.example",
        "path": "/A/x",
        "status": 200,
        "service": "a",
        "tag": "base",
        "tag_source": "none",
        "pool": "base",
        "duration_us": 1000,
        "revision": 1,
    }
    return RequestRecord(**plain | values)


def marked(**values: Any) -> RequestRecord:
    """One on the lane `demo/gray`."""
    lane = {"group": "demo", "lane": "gray", "tag": "gray", "tag_source": "rule", "pool": "gray"}
    return record(**lane | values)
