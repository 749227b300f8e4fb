"""One request as people look at it: what was decided, what came of it, and how long it took.

The record is a plain value without secrets (`proxy/recorder.py` makes it), so that processes may hand it to one another.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Final

FIXED_COST: Final = 1150
"""Bytes that a record takes beside its long texts, measured with `tracemalloc` for one that came as JSON. One of this
process takes half of that, because it shares most of its short texts with others."""


@dataclass(frozen=True, slots=True)
class Reporter:
    """Who made a record: a gateway (its `name`), or an instance's sidecar (`name` is the service, `address` is registered)."""

    name: str
    role: str = "entry"
    tag: str = "base"
    address: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestRecord:
    """One exchange. Texts are empty, and numbers None, for what there was not.

    `time` is when its head was read, in seconds since the epoch; durations are whole microseconds. `path` has no query, and
    `params` only the parameters that the settings name. `grpc_status` is the name of a gRPC call's status. `mirror`: it is a
    mirror's copy. `head` and `client_ip` are what explaining the request needs; they are
    shown to nobody, and stay in the program that made the record.
    """

    time: float
    listener: str
    method: str
    host: str
    path: str
    version: str = "1.1"
    params: dict[str, str] = field(default_factory=dict)
    status: int
    cause: str = ""
    grpc_status: str = ""
    route: str = ""
    service: str = ""
    group: str = ""
    lane: str = ""
    tag: str
    tag_source: str
    pool: str
    fallback: str = ""
    lost: str = ""
    lost_tag: str = ""
    signature: str = ""
    fault: str = ""
    mirror: bool = False
    instance: str = ""
    duration_us: int
    upstream_us: int | None = None
    overhead_us: int | None = None
    attempts: int = 1
    trace_id: str = ""
    revision: int
    rules: str = ""
    unknown_rules: str = ""
    callee_failed: bool = False
    has_body: bool = False
    client_ip: str = ""
    head: bytes = b""

    @property
    def cost(self) -> int:
        """Bytes that keeping it takes, about."""
        texts = sum(len(value) for value in (self.method, self.host, self.path, self.head))
        return FIXED_COST + texts + sum(len(name) + len(value) for name, value in self.params.items())

    def as_dict(self) -> dict[str, object]:
        """What may be shown, for JSON: empty texts are null."""
        shown = {name: getattr(self, name) for name in SHOWN}
        return {name: None if value == "" else value for name, value in shown.items()}


SHOWN: Final = tuple(item.name for item in fields(RequestRecord) if item.name not in ("head", "client_ip"))
"""The fields that leave the program."""
