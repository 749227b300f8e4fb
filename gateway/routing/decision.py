"""The decision: the one object that says what was decided for a request and why.

Explain, metrics, access log and console all render this object; nothing else remembers how a request was routed.
"""

from __future__ import annotations

from typing import Final

from gateway.instance import Instance
from gateway.tags import BASE

# Where a request's tag came from.
SOURCE_NONE: Final = "none"
SOURCE_RULE: Final = "rule"
SOURCE_DEBUG: Final = "debug"
SOURCE_HEADER: Final = "header"
SOURCE_BAGGAGE: Final = "baggage"
SOURCE_TRACE: Final = "trace"
SOURCE_INSTANCE: Final = "instance"
SOURCE_AMBIGUOUS: Final = "ambiguous"
"""The request's only id is shared, at this moment, by requests with different tags: it is treated as unmarked."""


class Decision:
    """`tag` is what the request is marked with, `pool` the tag of the pool that serves it.

    They differ exactly when `fallback` (the reason) is not empty. `error` is the stable code of an answer that the
    gateway gives itself, empty where the request is forwarded.
    """

    __slots__ = (
        "detail",
        "error",
        "fallback",
        "group",
        "instance",
        "lane",
        "pool",
        "revision",
        "route",
        "service",
        "tag",
        "tag_source",
    )

    def __init__(self, revision: int) -> None:
        self.revision = revision
        self.route: str = ""
        self.service: str = ""
        self.group: str = ""
        self.lane: str = ""
        self.tag: str = BASE
        self.tag_source: str = SOURCE_NONE
        self.pool: str = BASE
        self.fallback: str = ""
        self.instance: Instance | None = None
        self.error: str = ""
        self.detail: str = ""

    def as_dict(self) -> dict[str, object]:
        """The decision as plain values, for JSON."""
        return {
            "route": self.route or None,
            "service": self.service or None,
            "group": self.group or None,
            "lane": self.lane or None,
            "tag": self.tag,
            "tag_source": self.tag_source,
            "pool": self.pool,
            "fallback": self.fallback or None,
            "instance": None if self.instance is None else self.instance.address,
            "error": self.error or None,
            "detail": self.detail or None,
            "revision": self.revision,
        }

    def refuse(self, error: str, detail: str) -> None:
        """Decides that the gateway answers itself: `error` is the stable code, `detail` a sentence for a person."""
        self.error = error
        self.detail = detail
