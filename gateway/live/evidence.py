"""Why a recorded request went where it went: its head is judged again, by the rules as they are now.

What was not kept of the request, or has changed since, is told beside the explanation.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any, Final, Protocol

from gateway.http.head_reader import HeadReader
from gateway.http.masking import MASKED, Mask
from gateway.http.request import Request
from gateway.live.store import Stored

COMPARED: Final = ("service", "group", "lane", "tag", "tag_source", "pool", "fallback")
"""What of a decision is compared. Which instance has its turn does not count."""
SECRET_SOURCES: Final = frozenset({"cookie", "jwt", "body"})
SECRET_HEADERS: Final = frozenset({"authorization", "proxy-authorization", "cookie", "set-cookie"})
_SUBJECT: Final = re.compile(r"(param|header|cookie|jwt|body) (\S+)")
_FORWARDED: Final = re.compile(rb"\r\n(?:x-forwarded-for|forwarded):", re.IGNORECASE)


class NoEvidence(Exception):
    """Nothing of the request is left that could be judged; the text says why."""


class Judge(Protocol):
    """What explains requests: see `admin.view.Explainer`."""

    @property
    def reader(self) -> HeadReader:
        """Reads a head as the listener does."""
        ...

    def explain(self, request: Request, client_ip: str, body: bytes) -> dict[str, Any]:
        """The decision for a request, with its reasons."""
        ...


def explain_record(stored: Stored, judge: Judge, masked: Sequence[str]) -> dict[str, Any]:
    """The explanation, what was recorded, whether the two agree, and what is missing.

    Values of cookies, tokens, bodies and `masked` parameters are hidden. Other parameters and headers that a lane names are
    shown: its author decided so. Raises NoEvidence, and ProtocolError if the request would be refused now.
    """
    record = stored.record
    if not record.head:
        raise NoEvidence("the head of this request was not kept: it was larger than 16 KiB")
    found = judge.explain(judge.reader.read(record.head), record.client_ip, b"")
    for lane in found.get("lanes", ()):
        _hide(lane["conditions"], Mask(masked))
    shown = record.as_dict()
    decision = found["decision"]
    missing = []
    if record.has_body:
        missing.append("the body: conditions on it are judged as if there were none")
    if decision["revision"] != record.revision:
        missing.append(f"revision {record.revision} of the rules: revision {decision['revision']} is in force now")
    if record.tag_source in ("header", "baggage") or _FORWARDED.search(record.head) is not None:
        missing.append("the proxy that it came through: what it added to the request is not trusted here")
    return {
        **found,
        "id": stored.id,
        "recorded": {
            name: shown[name] for name in (*COMPARED, "lost", "lost_tag", "instance", "status", "cause", "revision")
        },
        "agrees": all(shown[name] == decision[name] for name in COMPARED),
        "missing": missing,
    }


def _hide(conditions: Iterable[dict[str, Any]], mask: Mask) -> None:
    for condition in conditions:
        subject = _SUBJECT.match(condition["text"])
        if subject is not None and condition["value"] is not None and is_secret(subject[1], subject[2], mask):
            condition["value"] = MASKED.decode("ascii")
        _hide(condition["members"], mask)


def is_secret(source: str, name: str, mask: Mask) -> bool:
    """Whether the value of what a condition looks at is shown to nobody."""
    return source in SECRET_SOURCES or name.lower() in SECRET_HEADERS or mask.field(name.lower(), b"") == MASKED
