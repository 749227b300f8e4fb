"""The decision: the one object that says what was decided for a request and why.

Explain, metrics, access log and console all render this object; nothing else remembers how a request was routed.
"""

from __future__ import annotations

import json
from typing import Final

from gateway.instance import Instance
from gateway.routing.patience import Patience
from gateway.rules.injected import InjectedFault
from gateway.tags import BASE

# Where a request's tag came from.
SOURCE_NONE: Final = "none"
SOURCE_RULE: Final = "rule"
SOURCE_ROUTE: Final = "route"
SOURCE_DEBUG: Final = "debug"
SOURCE_HEADER: Final = "header"
SOURCE_BAGGAGE: Final = "baggage"
SOURCE_TRACE: Final = "trace"
SOURCE_INSTANCE: Final = "instance"
SOURCE_IN_FLIGHT: Final = "in_flight"
"""All requests that the application was serving had this tag: it is inferred, and carried by nothing."""
SOURCE_AMBIGUOUS: Final = "ambiguous"
"""The request's only id is shared, at this moment, by requests with different tags: it is treated as unmarked."""


# Everything that is rendered of a decision, and nothing else.
class Decision:
    """`tag` is what the request is marked with, `pool` the tag of the pool that serves it.

    They differ exactly when `fallback` (the reason) is not empty. `lost` says how the application lost the tag of the
    request that this call belongs to, and `lost_tag` is that tag; empty if it did not
    (`routing/escapes.py`), the tag also if it may be one of several. `signature` says what that of a carrier
    is worth (`routing/tagsigner.py`), empty if none is needed; `is_rejected`: that carrier does not count.

    `rules` is the digest of the terms by which a marked request is decided. `unknown_rules` is the one that it came with, if
    those terms are not known here: then they are the terms in force, and the request goes on with the one it came with.

    `is_copy`: the request is a mirror's copy of another one.

    `chosen_by` says what has chosen the instance, empty if it was its turn. `fault` is what the lane injects. `error` is the code
    of the failure that the client gets, empty if the request is forwarded.

    `patience` is how long the request waits and how often it is tried, None if that is as for any other.

    `client_ip` is the client, as far as it is trusted. `response_fields` are field lines that the response gets, each led by
    CRLF; `explains`: it is to say why, too.
    """

    __slots__ = (
        "chosen_by",
        "client_ip",
        "detail",
        "error",
        "explains",
        "fallback",
        "fault",
        "group",
        "instance",
        "is_copy",
        "is_rejected",
        "lane",
        "lost",
        "lost_tag",
        "patience",
        "pool",
        "response_fields",
        "revision",
        "route",
        "rules",
        "service",
        "signature",
        "tag",
        "tag_source",
        "unknown_rules",
    )

    def __init__(self, revision: int, client_ip: str = "") -> None:
        self.revision = revision
        self.client_ip = client_ip
        self.response_fields: bytes = b""
        self.explains: bool = False
        self.route: str = ""
        self.service: str = ""
        self.group: str = ""
        self.lane: str = ""
        self.tag: str = BASE
        self.tag_source: str = SOURCE_NONE
        self.pool: str = BASE
        self.fallback: str = ""
        self.lost: str = ""
        self.lost_tag: str = ""
        self.signature: str = ""
        self.is_rejected: bool = False
        self.is_copy: bool = False
        self.rules: str = ""
        self.unknown_rules: str = ""
        self.patience: Patience | None = None
        self.fault: InjectedFault | None = None
        self.instance: Instance | None = None
        self.chosen_by: str = ""
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
            "lost": self.lost or None,
            "lost_tag": self.lost_tag or None,
            "signature": self.signature or None,
            "fault": None if self.fault is None else self.fault.kind,
            "mirror": self.is_copy or None,
            "instance": None if self.instance is None else self.instance.address,
            "chosen_by": self.chosen_by or None,
            "error": self.error or None,
            "detail": self.detail or None,
            "revision": self.revision,
            "rules": self.rules or None,
            "unknown_rules": self.unknown_rules or None,
        }

    def refuse(self, error: str, detail: str) -> None:
        """Notes why the request fails: `error` is the failure's code, `detail` a sentence for a person."""
        self.error = error
        self.detail = detail

    def reject(self, signature: str) -> None:
        """Notes why a carrier does not count; the first one's reason stays."""
        if not self.is_rejected:
            self.signature = signature
            self.is_rejected = True

    @property
    def carried_rules(self) -> str:
        """The digest with which the request goes on."""
        return self.unknown_rules or self.rules

    def inject(self, fault: InjectedFault) -> None:
        """Notes what the lane injects, and has the client told."""
        self.fault = fault
        self.response_fields += b"\r\nX-Gray-Fault: " + fault.kind.encode("ascii")

    def response_lines(self) -> bytes:
        """The field lines that the response gets, each led by CRLF."""
        return self.response_fields + explain_line(self) if self.explains else self.response_fields


def explain_line(decision: Decision) -> bytes:
    """The `X-Gray-Explain` field, led by CRLF: the decision as JSON in one line of ASCII, without what is not there."""
    facts = {key: value for key, value in decision.as_dict().items() if value is not None}
    return b"\r\nX-Gray-Explain: " + json.dumps(facts, separators=(",", ":")).encode("ascii")
