"""Carriers: where a request carries its tag. Reading them, and writing them all again so that one survivor heals the others."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final
from urllib.parse import unquote_to_bytes

from gateway import copymark
from gateway.http.request import Request
from gateway.routing.decision import SOURCE_AMBIGUOUS, SOURCE_BAGGAGE, SOURCE_HEADER, SOURCE_TRACE, Decision
from gateway.routing.memory import AMBIGUOUS, TraceMemory
from gateway.routing.tagsigner import EXPIRED, FORGED, UNSIGNED, VERIFIED, TagSigner
from gateway.signedtag import Claim, is_digest, is_signed, read_signed
from gateway.tags import BASE, is_tag
from gateway.telemetry.baggage import member, without_members
from gateway.telemetry.tracecontext import ID_FIELDS, IdField

_MAX_KEPT: Final = 1024
"""Values and lines that are kept ready, of each kind: a trusted peer may send any."""
_MAX_VALUE: Final = 512
"""Bytes of the longest one that is kept."""


class _Baggage:
    """A request's baggage: what it says of the tag, whether it has the mark of a copy, and everybody else's."""

    __slots__ = ("is_copy", "rest", "tag", "terms")

    def __init__(self, tag: bytes, terms: str, rest: bytes, is_copy: bool) -> None:
        self.is_copy = is_copy
        self.tag = tag
        self.terms = terms
        self.rest = rest


class _Lines:
    """What carries a tag: the whole field lines, and the parts of which they are made beside other people's baggage."""

    __slots__ = ("alone", "header", "members")

    def __init__(self, header: bytes, members: bytes) -> None:
        self.header = header
        self.members = members
        self.alone: bytes = header + b"baggage: " + members + b"\r\n"


class Carriers:
    """The names under which the tag travels: its own header and a member of the W3C `baggage` header.

    Beside a bare tag, a second member names the terms by which the request was decided: that of the tag, and `-rules`. With a
    signer, the tag travels signed, and the terms are in that. Without one, a signed tag of somebody else counts as a bare one.

    `ids` are the names of the `ID_FIELDS` that count beside `traceparent`; None: all.
    """

    __slots__ = ("_baggages", "_claims", "_header", "_ids", "_lines", "_member", "_rules_member", "_signer", "header")

    def __init__(
        self, header: str = "x-gray-tag", baggage: str = "x-gray-tag", ids: Collection[str] | None = None
    ) -> None:
        self.header = header
        self._header: bytes = header.encode("ascii") + b": "
        self._member: bytes = baggage.encode("ascii")
        self._rules_member: bytes = self._member + b"-rules"
        self._ids: list[tuple[int, IdField]] = [
            (number, field)
            for number, field in enumerate(ID_FIELDS)
            if ids is None or field.name.decode("ascii") in ids
        ]
        self._signer: TagSigner | None = None
        self._claims: dict[bytes, Claim] = {}  # what was accepted, by value
        self._baggages: dict[bytes, _Baggage] = {}  # by field value
        self._lines: dict[tuple[str, str], _Lines] = {}  # by tag and terms

    def sign_with(self, signer: TagSigner | None) -> None:
        """Signs by another signer from now on, or not at all."""
        self._signer = signer
        self._claims.clear()
        self._lines.clear()

    def read(self, request: Request, decision: Decision) -> bool:
        """Marks the decision as the request's carriers say; False if there is none that is accepted."""
        value = request.tag
        if value:
            if b"%" in value:
                value = _decoded(value)
            if self._take(value, decision):
                decision.tag_source = SOURCE_HEADER
                if request.baggage and not decision.rules:
                    decision.rules = self._read_baggage(request.baggage).terms
                return True
        if request.baggage:
            baggage = self._read_baggage(request.baggage)
            if baggage.tag and self._take(baggage.tag, decision):
                decision.tag_source = SOURCE_BAGGAGE
                decision.rules = decision.rules or baggage.terms
                return True
        return False

    def _take(self, value: bytes, decision: Decision) -> bool:
        """Takes a carrier's value, or notes why not. The first reason counts, and what is no tag at all is none."""
        signer = self._signer
        claim = self._claims.get(value)
        if claim is None:
            text = value.decode("latin-1")
            if is_signed(text):
                claim = read_signed(text) if signer is None else signer.verify(text)
                if claim is None:
                    if signer is not None:
                        decision.reject(FORGED)
                    return False
            elif not is_tag(text):
                return False
            elif signer is not None and signer.is_required:
                decision.reject(UNSIGNED)
                return False
            else:
                claim = Claim(text)
            # Only what was accepted: what a stranger makes up pushes nothing out.
            if len(self._claims) >= _MAX_KEPT:
                self._claims.clear()
            self._claims[value] = claim
        if signer is not None:
            if not claim.expires:
                decision.signature = decision.signature or UNSIGNED
            elif claim.expires <= signer.clock():
                decision.reject(EXPIRED)
                return False
            else:
                decision.signature = decision.signature or VERIFIED
        decision.tag = claim.tag
        decision.rules = claim.terms
        return True

    def _read_baggage(self, lines: list[bytes]) -> _Baggage:
        key = lines[0] if len(lines) == 1 else b""
        known = self._baggages.get(key)
        if known is None:
            tag = member(lines, self._member)
            terms = member(lines, self._rules_member)
            known = _Baggage(
                b"" if tag is None else tag.encode("latin-1", "replace"),
                terms if terms is not None and is_digest(terms) else "",
                without_members(lines, (self._member, self._rules_member, copymark.FIELD)),
                member(lines, copymark.FIELD) == copymark.VALUE,
            )
            if 0 < len(key) <= _MAX_VALUE:
                if len(self._baggages) >= _MAX_KEPT:
                    self._baggages.clear()
                self._baggages[key] = known
        return known

    def is_copy(self, request: Request) -> bool:
        """Whether a request carries the mark of a mirror's copy."""
        return request.is_copy or (bool(request.baggage) and self._read_baggage(request.baggage).is_copy)

    def write(self, request: Request, tag: str, rules: str, lines: list[bytes], is_copy: bool = False) -> None:
        """Adds the field lines that carry `tag`, with the digest `rules`, onward; with `base`, only other people's baggage.

        `is_copy`: and the mark of a mirror's copy.
        """
        rest = self._read_baggage(request.baggage).rest if request.baggage else b""
        if is_copy:
            lines.append(copymark.LINE)
            rest = rest + b"," + copymark.MEMBER if rest else copymark.MEMBER
        if tag == BASE:
            if rest:
                lines.append(b"baggage: " + rest + b"\r\n")
            return
        signer = self._signer
        if signer is not None and signer.renews():
            self._lines.clear()
        key = (tag, rules)
        ready = self._lines.get(key)
        if ready is None:
            if len(self._lines) >= _MAX_KEPT:
                self._lines.clear()
            ready = self._lines[key] = self._carry(tag, rules)
        if rest:
            lines.append(ready.header + b"baggage: " + rest + b"," + ready.members + b"\r\n")
        else:
            lines.append(ready.alone)

    def trace_ids(self, request: Request, strongest: bool = False) -> list[bytes]:
        """The ids that identify a request among all others, the strongest first; what identifies nothing is left out.

        `strongest`: only the first one is of use.

        The trace id of a sound `traceparent`, then those of `ID_FIELDS`, several of which may name the same trace.
        """
        ids: list[bytes] = []
        if request.traceparent:
            ids.append(request.trace_id)
        given = request.ids
        if given is None:
            return ids
        for number, field in self._ids:
            if strongest and ids:
                break
            value = given[number]
            if value:
                found = field.read(value)
                if found:
                    found = field.space + found
                    if found not in ids:
                        ids.append(found)
        return ids

    def recall(self, memory: TraceMemory, request: Request, decision: Decision, now: float) -> bool:
        """Marks the decision of an outbound request by what is remembered of it; False if its id is not known.

        Only the strongest id is looked up. A weaker one may be shared with other requests, and must not speak for a trace that
        is unknown here.
        """
        ids = self.trace_ids(request, strongest=True)
        if not ids:
            return False
        tag = memory.recall(ids[0], now)
        if tag is None:
            return False
        if tag == AMBIGUOUS:
            decision.tag_source = SOURCE_AMBIGUOUS
            return True
        decision.tag = tag
        decision.tag_source = SOURCE_TRACE
        decision.rules = memory.rules_of(ids[0])
        return True

    def recall_rules(self, memory: TraceMemory, request: Request) -> str:
        """The digest of the terms that are remembered for a request which carries its tag, and not its terms."""
        ids = self.trace_ids(request, strongest=True)
        return memory.rules_of(ids[0]) if ids else ""

    def _carry(self, tag: str, rules: str) -> _Lines:
        signer = self._signer
        value = (tag if signer is None else signer.sign(tag, rules)).encode("ascii")
        members = self._member + b"=" + value
        if signer is None and rules:
            members += b"," + self._rules_member + b"=" + rules.encode("ascii")
        return _Lines(self._header + value + b"\r\n", members)


def _decoded(value: bytes) -> bytes:
    """A header's value of which an application took a signed tag out of the baggage, encoded; a bare tag is never decoded."""
    decoded = unquote_to_bytes(value)
    return decoded if is_signed(decoded.decode("latin-1")) else value
