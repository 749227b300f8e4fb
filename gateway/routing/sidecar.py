"""How a sidecar routes: inbound to the one local service, outbound to whichever service that one calls."""

from __future__ import annotations

from collections.abc import Collection
from random import Random
from typing import Any, Final

from gateway import hop
from gateway.failures import MISDIRECTED, NO_SERVICE, NOT_FROM_MESH
from gateway.http.request import Request
from gateway.instance import Instance
from gateway.routing.admission import Admission
from gateway.routing.carriers import Carriers
from gateway.routing.copymemory import CopyMemory
from gateway.routing.decision import (
    SOURCE_AMBIGUOUS,
    SOURCE_BAGGAGE,
    SOURCE_HEADER,
    SOURCE_IN_FLIGHT,
    SOURCE_INSTANCE,
    SOURCE_RULE,
    SOURCE_TRACE,
    Decision,
)
from gateway.routing.escapes import EscapeDetector
from gateway.routing.failedcalls import ANYBODY, owner_with
from gateway.routing.forward import forward_head
from gateway.routing.memory import TraceMemory
from gateway.routing.peer import Peer
from gateway.routing.router import UNREAD, Router
from gateway.routing.services import NOT_IN_GROUP, ServiceView, Turns
from gateway.routing.snapshot import Snapshot
from gateway.routing.tracing import Tracing, traceparent_line
from gateway.routing.verdict import Forward, InboundForward, NeedService, Refuse, Verdict
from gateway.rules.context import MatchContext
from gateway.tags import BASE
from gateway.telemetry.tracecontext import REQUEST_ID, new_request_id

_HOST: Final = frozenset({b"host"})
_CARRIED: Final = frozenset({SOURCE_HEADER, SOURCE_BAGGAGE, SOURCE_IN_FLIGHT})
"""Sources of a tag that say whose call it is."""
_REMEMBERED: Final = frozenset({SOURCE_TRACE, SOURCE_AMBIGUOUS})
"""Sources that are an id."""


class InboundRouter(Router):
    """Everything goes to the local service; what the request carries is remembered and written on again.

    A sidecar trusts its peers: they are the entry gateway and other sidecars. Each says which instance it means (see
    `hop`); what is meant for another one than those in `identities` is refused before the service sees it. Without any,
    this instance is `service` with `tag`. `admits_all`: requests of callers that do not say so, as probes and people with
    curl, are let through. `random_source`: requests without an `x-request-id` get one, made of its bits.
    `admission` says what is needed of TLS; None: nothing. `copies` remembers which requests are mirrors' copies.
    """

    __slots__ = (
        "_admits_all",
        "_carriers",
        "_copies",
        "_identities",
        "_memory",
        "_random",
        "_tag",
        "_tracing",
        "_view",
        "admission",
        "snapshot",
    )

    def __init__(
        self,
        snapshot: Snapshot,
        carriers: Carriers,
        memory: TraceMemory,
        *,
        service: str,
        tag: str,
        app: Instance,
        copies: CopyMemory | None = None,
        identities: Collection[str] = (),
        admits_all: bool = True,
        random_source: Random | None = None,
        tracing: Tracing | None = None,
    ) -> None:
        self.snapshot = snapshot
        self._random = random_source
        self.admission: Admission | None = None
        self._carriers = carriers
        self._memory = memory
        self._copies = copies or CopyMemory()
        self._tag = tag
        names = identities or (hop.target(tag), hop.target(tag, service))
        self._identities: frozenset[bytes] = frozenset([name.encode("ascii") for name in names])
        self._admits_all = admits_all
        self._tracing = tracing
        # Seen from inside there is one place to go, whatever the tag: the instance's own tag matters to its peers.
        self._view = ServiceView(service, (app,), Turns())

    def is_trusted(self, ip: str) -> bool:
        """Every peer is."""
        return True

    def route(self, request: Request, peer: Peer, now: float, content: Any = UNREAD) -> Verdict:
        """Decides for one inbound request. Never raises, never waits."""
        if self._tracing is not None:
            self._tracing.join(request)
        decision = Decision(self.snapshot.revision, peer.ip)
        decision.service = self._view.name
        admission = self.admission
        if admission is not None:
            unwelcome = admission.refuses(peer)
            if unwelcome:
                return Refuse(decision, NOT_FROM_MESH, unwelcome)
        meant = request.meant_instance
        if meant:
            if meant not in self._identities:
                decision.response_fields = hop.response_line(hop.MISDIRECTED)
                why = f"this is an instance of {self._view.name} with tag {self._tag}, not the intended one"
                return Refuse(decision, MISDIRECTED, why)
        elif not self._admits_all:
            return Refuse(decision, NOT_FROM_MESH, "this instance serves only requests from gateways and sidecars")
        forward = InboundForward(decision)
        refusal = forward.choose(self._view, "")
        if refusal is not None:
            return refusal
        is_marked = self._carriers.read(request, decision)
        rules = decision.rules or self.snapshot.rules.terms.digest
        # What reaches a gray instance unmarked comes from outside the mesh, and what follows from it starts here.
        ids = self._carriers.trace_ids(request)
        request_id = b""
        if self._random is not None and not request.has_id(REQUEST_ID):
            request_id = new_request_id(self._random.getrandbits(128))
            ids.append(REQUEST_ID.space + request_id)
        tag = decision.tag if is_marked else self._tag
        visit = self._memory.enter(ids, tag, now, "" if tag == BASE else rules)
        decision.is_copy = self._carriers.is_copy(request)
        forward.remember(self._copies.enter(self._memory, ids, tag, now) if decision.is_copy else visit)
        if decision.tag != BASE:
            decision.rules = rules
        lines: list[bytes] = []
        if request_id:
            lines.append(b"X-Request-Id: " + request_id + b"\r\n")
        if admission is not None:
            admission.introduce(request, peer, lines)
        _write_head(forward, request, self._carriers, lines)
        return forward


class OutboundRouter(Router):
    """The service's own calls: the tag comes from the first carrier that has one.

    The address connected to (`Peer.callee`), or else the host, names the callee.
    `snapshot.services` holds what is known of the callees; a callee not known yet makes the verdict request it.

    `infers`: a call that carries nothing known takes the tag that all requests inside have; `inferred` counts these. `ambiguous`
    counts those that are nobody's, because requests with different tags share the id.
    `random_source` draws who meets the faults that lanes inject. `copies` knows which requests are mirrors' copies.
    """

    __slots__ = (
        "_carriers",
        "_copies",
        "_escapes",
        "_infers",
        "_memory",
        "_own_service",
        "_own_tag",
        "_random",
        "_tracing",
        "ambiguous",
        "inferred",
        "snapshot",
    )

    def __init__(
        self,
        snapshot: Snapshot,
        carriers: Carriers,
        memory: TraceMemory,
        own_tag: str,
        own_service: str = "",
        escapes: EscapeDetector | None = None,
        *,
        copies: CopyMemory | None = None,
        random_source: Random | None = None,
        infers: bool = False,
        tracing: Tracing | None = None,
    ) -> None:
        self._escapes = escapes
        self._random = random_source or Random()
        self._infers = infers
        self.inferred: int = 0
        self.ambiguous: int = 0
        self._tracing = tracing
        self._own_service = own_service
        self.snapshot = snapshot
        self._carriers = carriers
        self._memory = memory
        self._copies = copies or CopyMemory()
        self._own_tag = own_tag

    def is_trusted(self, ip: str) -> bool:
        """The local service is."""
        return True

    def route(self, request: Request, peer: Peer, now: float, content: Any = UNREAD) -> Verdict:
        """Decides for one outbound request. Never raises, never waits."""
        snapshot = self.snapshot
        # Not again after the callee had to be learned.
        if self._tracing is not None and not request.span_id:
            self._tracing.join(request)
        decision = Decision(snapshot.revision, peer.ip)
        service = peer.callee or _callee(snapshot, request)
        decision.service = service
        if not service:
            return Refuse(decision, NO_SERVICE, "the Host field must name the service to call")
        self._mark(snapshot, request, decision, now)
        decision.is_copy = self._carriers.is_copy(request) or (
            self._copies.is_used and self._recalls_copy(request, decision, now)
        )
        terms = snapshot.rules.terms
        fallback = ""
        is_strict = False
        if decision.tag != BASE:
            terms = snapshot.settle_terms(decision, now)
            is_strict = terms.is_strict(decision.tag)
            if not terms.holds(decision.tag, service):
                fallback = NOT_IN_GROUP
        view = snapshot.view_under(service, terms)
        if view is None:
            return NeedService(decision, service)
        # Counted here, and not where it is marked: a request whose callee has to be learned is marked twice.
        if decision.tag_source == SOURCE_IN_FLIGHT:
            self.inferred += 1
        elif decision.tag_source == SOURCE_AMBIGUOUS:
            self.ambiguous += 1
        if self._escapes is not None:
            self._escapes.check(request, decision, now)
        faults = snapshot.rules.faults
        if faults is not None and decision.tag != BASE:
            fault = faults.find(decision.tag, service, self._random.random())
            if fault is not None:
                decision.inject(fault)
                if fault.failure is not None:
                    return Refuse(decision, fault.failure, fault.why)
        forward = Forward(decision)
        if view.choosing is not None:
            forward.choice = view.choosing.choice_of(request, decision.client_ip, False)
        refusal = forward.choose(view, fallback, is_strict)
        if refusal is not None:
            return refusal
        forward.target_line = forward.instance.target_line
        if b"_" in request.authority:
            _replace_underscores(request)
        _write_head(forward, request, self._carriers, [forward.target_line])
        return forward

    def note_failure(self, request: Request, decision: Decision, at: float) -> None:
        """What the application was serving when it called may fail because of that."""
        owner = self.owner_of(request, decision)
        if owner:
            self._memory.failed_calls.note(owner, at)

    def owner_of(self, request: Request, decision: Decision) -> bytes:
        """Whose call it is (see `failedcalls`); empty if the request that it was made for is over."""
        ids = self._carriers.trace_ids(request, strongest=True)
        if ids and self._memory.is_inside(ids[0]):
            return ids[0]
        if decision.tag_source in _CARRIED:
            return owner_with(decision.tag)
        return b"" if decision.tag_source in _REMEMBERED else ANYBODY

    def _recalls_copy(self, request: Request, decision: Decision, now: float) -> bool:
        """Whether the request that this call belongs to is a copy; where that is inferred, whether all are that are inside."""
        if decision.tag_source == SOURCE_IN_FLIGHT:
            return self._copies.inside == sum(self._memory.inside.values())
        ids = self._carriers.trace_ids(request, strongest=True)
        return bool(ids) and self._copies.holds(ids[0], now)

    def _mark(self, snapshot: Snapshot, request: Request, decision: Decision, now: float) -> None:
        if self._carriers.read(request, decision):
            if not decision.rules and decision.tag != BASE:
                decision.rules = self._carriers.recall_rules(self._memory, request)
            return
        if self._carriers.recall(self._memory, request, decision, now):
            return
        if self._infers:
            tag = self._memory.common_tag(now)
            if tag != BASE:
                decision.tag = tag
                decision.tag_source = SOURCE_IN_FLIGHT
                return
        if self._own_tag != BASE:
            # Traffic that starts at a gray instance (a timer, a queue consumer) is gray.
            decision.tag = self._own_tag
            decision.tag_source = SOURCE_INSTANCE
            return
        if snapshot.rules.lanes:
            # Traffic that starts at a service which lane groups name as an entry is matched here.
            context = MatchContext(
                request,
                decision.client_ip,
                service=decision.service,
                caller=self._own_service,
                caller_tag=self._own_tag,
            )
            lane = snapshot.rules.match(context)
            if lane is not None:
                decision.group = lane.group
                decision.lane = lane.name
                decision.tag = lane.tag
                decision.tag_source = SOURCE_RULE


def _callee(snapshot: Snapshot, request: Request) -> str:
    """The service that the host names: the one of this very name, or else one that differs from it by case alone."""
    host = request.host
    name = request.authority[: len(host)].decode("latin-1")
    view = snapshot.services.get(name)
    return name if view is not None and view.instances else snapshot.spelled(host) or name


def _replace_underscores(request: Request) -> None:
    """Forwards a host that no server may refuse: the names of services may have underscores, those of hosts may not.

    RFC 952; Tomcat returns 400 for them.
    """
    if not request.rewrites_host:
        request.cut_named(_HOST)
        request.rewrites_host = True
    request.authority = request.authority.replace(b"_", b"-")


def _write_head(forward: Forward, request: Request, carriers: Carriers, lines: list[bytes]) -> None:
    decision = forward.decision
    carriers.write(request, decision.tag, decision.carried_rules, lines, decision.is_copy)
    if request.span_id:
        lines.append(traceparent_line(request))
    if request.rewrites_host:
        lines.append(b"Host: " + (request.authority or decision.service.encode("latin-1")) + b"\r\n")
    target = request.target
    if target[:1] != b"/":
        target = request.raw_path + b"?" + request.query if request.query else request.raw_path
    forward.head = forward_head(request, target, lines)
