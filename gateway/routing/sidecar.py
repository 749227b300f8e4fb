"""How a sidecar routes: inbound to the one local service, outbound to whichever service that one calls."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from gateway import hop
from gateway.http.request import Request
from gateway.instance import Instance
from gateway.routing.carriers import Carriers, recall_trace, trace_ids
from gateway.routing.decision import SOURCE_INSTANCE, SOURCE_RULE, Decision
from gateway.routing.forward import forward_head
from gateway.routing.memory import TraceMemory
from gateway.routing.plan import Peer, Plan
from gateway.routing.services import NOT_IN_GROUP, ServiceView, Turns
from gateway.routing.snapshot import Snapshot
from gateway.tags import BASE

NO_SERVICE: Final = "no_service"
MISDIRECTED: Final = "misdirected"
NOT_FROM_MESH: Final = "not_from_mesh"


class InboundRouter:
    """Everything goes to the local service; what the request carries is remembered and written on again.

    A sidecar trusts its peers: they are the entry gateway and other sidecars. Each says which instance it means, by `hop`
    (see there); what is meant for another one than those in `identities` is refused before the service sees it. Without any,
    this instance is `service` with `tag`. `admits_all`: requests of callers that do not say so, as probes and people with
    curl, are let through.
    """

    __slots__ = ("_admits_all", "_carriers", "_identities", "_memory", "_tag", "_view", "snapshot")

    def __init__(
        self,
        snapshot: Snapshot,
        carriers: Carriers,
        memory: TraceMemory,
        service: str,
        tag: str,
        app: Instance,
        identities: Collection[str] = (),
        admits_all: bool = True,
    ) -> None:
        self.snapshot = snapshot
        self._carriers = carriers
        self._memory = memory
        self._tag = tag
        names = identities or (hop.target(tag), hop.target(tag, service))
        self._identities: frozenset[bytes] = frozenset([name.encode("ascii") for name in names])
        self._admits_all = admits_all
        # Seen from inside there is one place to go, whatever the tag: the instance's own tag matters to its peers.
        self._view = ServiceView(service, (app,), Turns())

    def is_trusted(self, ip: str) -> bool:
        """Every peer is."""
        return True

    def route(self, request: Request, peer: Peer, now: float) -> Plan:
        """Decides for one inbound request. Never raises, never waits."""
        decision = Decision(self.snapshot.revision)
        plan = Plan(decision)
        decision.service = self._view.name
        meant = request.hop
        if meant:
            if meant not in self._identities:
                decision.refuse(
                    MISDIRECTED, f"this is an instance of {self._view.name} with tag {self._tag}, not the one meant"
                )
                plan.answer_fields = hop.refusal(hop.MISDIRECTED)
                return plan
        elif not self._admits_all:
            decision.refuse(NOT_FROM_MESH, "this instance serves requests of gateways and sidecars only")
            return plan
        tag, source = self._carriers.read(request)
        # What reaches a gray instance unmarked comes from outside the mesh, and what follows from it starts here.
        plan.visit = self._memory.enter(trace_ids(request), tag if source else self._tag, now)
        plan.choose(self._view, "")
        if source:
            decision.tag = tag
            decision.tag_source = source
        _forward(plan, request, self._carriers)
        return plan


class OutboundRouter:
    """The service's own calls: the host names the callee, the tag comes from the first carrier that has one.

    `snapshot.services` holds what is known of the callees; a callee not known yet makes the plan ask for it.
    """

    __slots__ = ("_carriers", "_memory", "_own_service", "_own_tag", "snapshot")

    def __init__(
        self, snapshot: Snapshot, carriers: Carriers, memory: TraceMemory, own_tag: str, own_service: str = ""
    ) -> None:
        self._own_service = own_service
        self.snapshot = snapshot
        self._carriers = carriers
        self._memory = memory
        self._own_tag = own_tag

    def is_trusted(self, ip: str) -> bool:
        """The local service is."""
        return True

    def route(self, request: Request, peer: Peer, now: float) -> Plan:
        """Decides for one outbound request. Never raises, never waits."""
        snapshot = self.snapshot
        decision = Decision(snapshot.revision)
        service = _callee(snapshot, request)
        decision.service = service
        if not service:
            decision.refuse(NO_SERVICE, "the Host field must name the service to call")
            return Plan(decision)
        fallback = self._mark(snapshot, request, decision, now)
        view = snapshot.services.get(service)
        if view is None:
            return Plan(decision, unknown=service)
        plan = Plan(decision)
        plan.choose(view, fallback, decision.tag != BASE and snapshot.rules.is_strict(decision.tag))
        if decision.instance is not None:
            plan.hop = decision.instance.hop
            _forward(plan, request, self._carriers)
        return plan

    def _mark(self, snapshot: Snapshot, request: Request, decision: Decision, now: float) -> str:
        tag, source = self._carriers.read(request)
        if not source:
            tag, source = recall_trace(self._memory, request, now)
        if not source and self._own_tag != BASE:
            # Traffic that starts at a gray instance (a timer, a queue consumer) is gray.
            tag, source = self._own_tag, SOURCE_INSTANCE
        if not source and snapshot.rules.lanes:
            # Traffic that starts at a service which lane groups name as an entry is matched here.
            request.service = decision.service
            request.caller = self._own_service
            request.caller_tag = self._own_tag
            lane = snapshot.rules.match(request)
            if lane is not None:
                decision.group = lane.group
                decision.lane = lane.name
                tag, source = lane.tag, SOURCE_RULE
        if source:
            decision.tag = tag
            decision.tag_source = source
            if tag != BASE and not snapshot.rules.holds(tag, decision.service):
                return NOT_IN_GROUP
        return ""


def _callee(snapshot: Snapshot, request: Request) -> str:
    """The service that the host names: the one of this very name, or else one that differs from it by case alone."""
    host = request.host
    name = request.authority[: len(host)].decode("latin-1")
    view = snapshot.services.get(name)
    return name if view is not None and view.instances else snapshot.spelled(host) or name


def _forward(plan: Plan, request: Request, carriers: Carriers) -> None:
    lines: list[bytes] = [plan.hop] if plan.hop else []
    carriers.write(request, plan.decision.tag, lines)
    if request.rewrites_host:
        lines.append(b"Host: " + (request.authority or plan.decision.service.encode("latin-1")) + b"\r\n")
    target = request.target
    if target[:1] != b"/":
        target = request.raw_path + b"?" + request.query if request.query else request.raw_path
    plan.head = forward_head(request, target, lines)
