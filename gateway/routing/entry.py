"""How the entry gateway routes: strip untrusted carriers, find the route, match the lanes, tag, choose an instance."""

from __future__ import annotations

import random
from ipaddress import IPv4Network, IPv6Network, ip_address
from typing import Any, Final

from gateway.failures import BAD_TARGET, NO_BACKEND, NO_INSTANCES, NO_ROUTE
from gateway.http.address import node_ip
from gateway.http.edits import HeaderEdit
from gateway.http.forwarded import (
    FORWARDED_ELEMENTS,
    FORWARDED_FOR,
    FORWARDED_HOST,
    FORWARDED_PREFIX,
    FORWARDED_PROTO,
    Forwarded,
)
from gateway.http.grammar import field_pattern
from gateway.http.request import CHUNKED, Request
from gateway.http.target import raw_rest
from gateway.routing.carriers import Carriers
from gateway.routing.cookies import cookie_line
from gateway.routing.debug import DebugAccess
from gateway.routing.decision import SOURCE_DEBUG, SOURCE_ROUTE, SOURCE_RULE, Decision
from gateway.routing.forward import forward_head
from gateway.routing.peer import Peer
from gateway.routing.router import UNREAD, Router
from gateway.routing.routes import Route
from gateway.routing.services import NOT_IN_GROUP, ServiceView
from gateway.routing.snapshot import Snapshot
from gateway.routing.split import Backend
from gateway.routing.tagsigner import UNSIGNED
from gateway.routing.tracing import Tracing, traceparent_line
from gateway.routing.verdict import CompressedForward, Forward, NeedBody, Refuse, Reply, Verdict
from gateway.rules.context import MatchContext
from gateway.rules.match import CompiledLane
from gateway.rules.mirrored import MirroredLane, MirroredLanes
from gateway.tags import BASE
from gateway.telemetry.traceparents import TraceParents, value_of

_MAX_CHAINS: Final = 4096
_MAX_CHAIN: Final = 256
"""X-Forwarded-For values whose client is remembered, and the bytes of the longest one."""
_PREFIX: Final = frozenset({b"x-forwarded-prefix"})
_HOST: Final = frozenset({b"host"})
_OTHER_METHOD: Final = field_pattern(rb"x-(?:http-)?method(?:-override)?")
"""Fields by which frameworks let a request have another method than the one that it says: it may not be a safe one."""


class EntryRouter(Router):
    """Routes by `snapshot`, which the control plane replaces. `random_source` supplies the bits of new trace ids.

    `tracing`: requests are forwarded from within spans; None: they are not. Without `counts`, requests are only looked at: no
    rate limit counts them.
    """

    __slots__ = (
        "_carriers",
        "_clients",
        "_counts",
        "_debug",
        "_random",
        "_sampled",
        "_traceparents",
        "_tracing",
        "_trusted",
        "snapshot",
    )

    def __init__(
        self,
        snapshot: Snapshot,
        carriers: Carriers,
        random_source: random.Random,
        trusted: tuple[IPv4Network | IPv6Network, ...] = (),
        trace_sampled: float = 1.0,
        debug: DebugAccess | None = None,
        *,
        tracing: Tracing | None = None,
        counts: bool = True,
    ) -> None:
        self.snapshot = snapshot
        self._carriers = carriers
        self._random = random_source
        self._traceparents = TraceParents(random_source)
        self._trusted = trusted
        self._sampled = trace_sampled
        self._debug = debug
        self._tracing = tracing
        self._clients: dict[bytes, str] = {}
        self._counts: bool = counts

    def with_snapshot(self, snapshot: Snapshot) -> EntryRouter:
        """A router with the same settings and another snapshot, which only looks at requests."""
        return EntryRouter(
            snapshot, self._carriers, self._random, self._trusted, self._sampled, self._debug, counts=False
        )

    def is_trusted(self, ip: str) -> bool:
        """Whether a client at this address may send carriers and forwarding fields."""
        if not self._trusted:
            return False
        try:
            address = ip_address(ip)
        except ValueError:
            return False
        return any(address in network for network in self._trusted)

    def route(self, request: Request, peer: Peer, now: float, content: Any = UNREAD) -> Verdict:
        """Decides for one request. Never raises, never waits."""
        snapshot = self.snapshot
        rules = snapshot.rules
        # A request whose body was awaited, or for which somebody was asked, is routed again.
        is_new = content is UNREAD and request.permissions is None
        if self._tracing is not None and is_new:
            self._tracing.join(request)
        decision = Decision(snapshot.revision, peer.ip)
        if peer.is_trusted and request.forwarded is not None:
            decision.client_ip = self._client_of(request.forwarded) or peer.ip
        route = snapshot.routes.find(request.host, request.path, request)
        if route is not None and route.patience is not None:
            decision.patience = route.patience
        if route is not None and route.gate is not None:
            stopped = route.gate.check(request, decision, self._counts and is_new, self._counts)
            if stopped is not None:
                decision.route = route.source or route.path
                return stopped
        seen: Any = None
        if route is not None and route.inspect_body:
            if content is not UNREAD:
                seen = content
            elif rules.reads_body and (request.body == CHUNKED or 0 < request.body <= route.inspect_body):
                return NeedBody(decision, route.inspect_body)
        lane = self._mark(snapshot, request, peer, decision, "" if route is None else route.service, seen)
        if peer.is_trusted and (request.is_copy or request.baggage):
            decision.is_copy = self._carriers.is_copy(request)
        if route is None:
            return Refuse(decision, NO_ROUTE, f"no route for {request.path} on host {request.host or '(none)'}")
        decision.route = route.source or route.path
        if route.response is not None:
            return Reply(decision, route.response)
        if route.redirect is not None:
            return Reply(decision, route.redirect.response(request, route.prefix, _is_secure(request, peer)))
        service = route.service
        is_outside = is_strict = False
        backend: Backend | None = None
        if route.split is not None:
            context = MatchContext(request, decision.client_ip)
            backend = route.split.choose(decision.tag, context, snapshot.services, self._random)
            if backend is None or backend.problem:
                why = "the route has no backend with a weight" if backend is None else backend.problem
                return Refuse(decision, NO_BACKEND, why)
            service = backend.service
        is_of_backend = backend is not None and _mark_for(backend, decision, snapshot)
        terms = rules.terms if decision.tag == BASE else snapshot.settle_terms(decision, now)
        if is_of_backend:
            pass  # the route itself says that its requests may go there
        elif lane is not None:
            is_outside = lane.services is not None and service not in lane.services
            is_strict = lane.strict
        elif decision.tag != BASE:
            # A trusted client has marked it: the tag's lanes say what it may reach all the same.
            is_outside = not terms.holds(decision.tag, service)
            is_strict = terms.is_strict(decision.tag)
        decision.service = service
        view = snapshot.view_under(service, terms)
        if view is None:
            return Refuse(decision, NO_INSTANCES, f"the registry has not reported on service {service} yet")
        if rules.faults is not None and decision.tag != BASE:
            fault = rules.faults.find(decision.tag, service, self._random.random())
            if fault is not None:
                decision.inject(fault)
                if fault.failure is not None:
                    return Refuse(decision, fault.failure, fault.why)
        compression = route.compression
        forward = Forward(decision) if compression is None else CompressedForward(decision, compression)
        choosing = view.choosing
        if choosing is not None:
            forward.choice = choosing.choice_of(request, decision.client_ip, _is_secure(request, peer))
        refusal = forward.choose(view, NOT_IN_GROUP if is_outside else "", is_strict)
        if refusal is not None:
            return refusal
        target = _target(request, route)
        if not target:
            return Refuse(decision, BAD_TARGET, "the route makes a path of this one that is not safe to send")
        if rules.mirrors is not None and decision.tag == BASE and not decision.is_copy:
            forward.copied_to = self._copied_to(rules.mirrors, request, view)
        forward.stripped = route.restored
        forward.replacement = route.replacement
        lines = self._lines(request, peer, decision, route)
        forward.response_edit = route.response_edit if backend is None else backend.response_edit
        request_edit = route.request_edit if backend is None else backend.request_edit
        if request_edit is not None:
            _edit(request, request_edit, lines)
        if decision.instance is not None:
            forward.target_line = decision.instance.target_line
            lines.append(forward.target_line)
        forward.head = forward_head(request, target, lines)
        return forward

    def _copied_to(self, mirrors: MirroredLanes, request: Request, view: ServiceView) -> MirroredLane | None:
        """Which lane gets a copy of an unmarked request, if the service has instances of one."""
        if request.upgrade:
            return None
        method = request.method
        if request.is_grpc:
            call = request.call
            if call is None:
                return None
            method = f"{call[0]}/{call[1]}"
        lane = mirrors.find(view.name, method, self._random.random())
        if lane is None or lane.tag not in view.pools or request.header(_OTHER_METHOD) is not None:
            return None
        return lane

    def _mark(
        self, snapshot: Snapshot, request: Request, peer: Peer, decision: Decision, service: str, content: Any
    ) -> CompiledLane | None:
        """Marks the request, and returns the lane it is put on."""
        rules = snapshot.rules
        lane: CompiledLane | None = None
        if request.debug and self._debug is not None:
            wish = self._debug.lane_of(request.debug)
            decision.explains = wish is not None
            lane = rules.open_lanes.get(wish) if wish else None
            if lane is not None and lane.debug:
                _put_on(lane, decision, SOURCE_DEBUG)
                return lane
        if peer.is_trusted and (request.tag or request.baggage) and self._carriers.read(request, decision):
            if decision.signature == UNSIGNED and not decision.is_rejected:
                decision.signature = ""  # proxies have no keys
            return None
        if not rules.lanes and not rules.issues:
            return None
        context = MatchContext(request, decision.client_ip, service=service, content=content)
        for name, age in () if request.is_preflight else rules.issues:  # browsers ignore cookies of a preflight
            if request.cookie(name) is None:
                value = f"{self._random.getrandbits(128):032x}"
                context.give_cookie(name, value)
                decision.response_fields += cookie_line(name, value, _is_secure(request, peer), age)
        lane = rules.match(context)
        if lane is None:
            return None
        _put_on(lane, decision, SOURCE_RULE)
        signer = rules.signer
        if lane.sticky and signer is not None:
            name = f"{lane.group}/{lane.name}"
            if not signer.is_fresh(context, name, lane.sticky):
                value = signer.value(name, lane.sticky)
                decision.response_fields += cookie_line(signer.name, value, _is_secure(request, peer), lane.sticky)
        return lane

    def _lines(self, request: Request, peer: Peer, decision: Decision, route: Route) -> list[bytes]:
        host = request.authority or decision.service.encode("latin-1")
        forwarded = request.forwarded if peer.is_trusted else None
        lines = [peer.forwarded, host, b"\r\n"] if forwarded is None else _continued(forwarded, peer, host)
        if route.segments and (forwarded is None or not forwarded.value(FORWARDED_PREFIX)):
            lines.append(route.told)
        elif route.segments and forwarded is not None:
            request.cut_named(_PREFIX)
            lines.append(b"X-Forwarded-Prefix: " + forwarded.path_prefix + route.prefix + b"\r\n")
        if request.span_id:
            lines.append(traceparent_line(request))
        elif not request.traceparent:
            # If we trace, requests that are to be sampled have a trace by now.
            sampled = self._tracing is None and (self._sampled >= 1.0 or self._random.random() < self._sampled)
            line = self._traceparents.line(sampled)
            request.traceparent = value_of(line)
            lines.append(line)
        if request.baggage or decision.tag != BASE or decision.is_copy:
            self._carriers.write(request, decision.tag, decision.carried_rules, lines, decision.is_copy)
        if route.new_host:
            request.cut_named(_HOST)
            lines.append(b"Host: " + route.new_host + b"\r\n")
        elif request.rewrites_host:
            lines.append(b"Host: " + host + b"\r\n")
        return lines

    def _client_of(self, forwarded: Forwarded) -> str:
        """The nearest address that is not a trusted proxy's in what a trusted one says; empty if it says none.

        What is left of an entry that is not an address is only a claim.
        """
        nodes = forwarded.value(FORWARDED_FOR)
        known = self._clients.get(nodes)
        if known is not None:
            return known
        client = ""
        for entry in forwarded.chain:
            address = node_ip(entry)
            if not address:
                break
            client = address
            if not self.is_trusted(address):
                break
        if nodes and len(nodes) <= _MAX_CHAIN:
            if len(self._clients) >= _MAX_CHAINS:
                self._clients.clear()
            self._clients[nodes] = client
        return client


def _continued(forwarded: Forwarded, peer: Peer, host: bytes) -> list[bytes]:
    """The field lines that continue what a trusted proxy said: its address is new, the rest is added if it is missing."""
    lines = [peer.forwarded_for]
    if not forwarded.value(FORWARDED_PROTO):
        lines.append(peer.forwarded_proto)
    if not forwarded.value(FORWARDED_HOST):
        lines += (b"X-Forwarded-Host: ", host, b"\r\n")
    if forwarded.value(FORWARDED_ELEMENTS):
        # RFC 7239 §4: proxies add an element; §6: an IPv6 address is in brackets, and so in quotes.
        node = f'"[{peer.ip}]"' if ":" in peer.ip else peer.ip
        lines.append(f"Forwarded: for={node}\r\n".encode("latin-1"))
    return lines


def _is_secure(request: Request, peer: Peer) -> bool:
    """Whether the client's own request was an https one."""
    if peer.is_trusted and request.forwarded is not None:
        return request.forwarded.is_secure(peer.is_secure)
    return peer.is_secure


def _mark_for(backend: Backend, decision: Decision, snapshot: Snapshot) -> bool:
    """Marks a request for the backend that it goes to, unless it is; whether that has a tag."""
    tag = backend.lane_of(snapshot.services)
    if tag == BASE:
        return False
    if tag != decision.tag:
        decision.tag = tag
        decision.tag_source = SOURCE_ROUTE
        decision.group = decision.lane = decision.rules = ""
    return True


def _edit(request: Request, edit: HeaderEdit, lines: list[bytes]) -> None:
    if edit.names:
        request.cut_named(edit.names)
    lines.append(edit.lines)


def _target(request: Request, route: Route) -> bytes:
    """The target that the service is to see; the request's own object if it is that, empty if there is none that is safe."""
    target = request.target
    if route.new_path is not None:
        path = route.new_path.apply(request.raw_path, route.prefix)
        if not path:
            return path
    elif route.segments:
        path = raw_rest(request.raw_path, route.prefix, route.segments)
    elif target[:1] != b"/":
        path = request.raw_path
    else:
        return target
    return path + b"?" + request.query if request.query else path


def _put_on(lane: CompiledLane, decision: Decision, source: str) -> None:
    decision.group = lane.group
    decision.lane = lane.name
    decision.tag = lane.tag
    decision.tag_source = source
