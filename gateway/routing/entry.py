"""How the entry gateway routes: strip untrusted carriers, find the route, match the lanes, tag, choose an instance."""

from __future__ import annotations

import random
from ipaddress import IPv4Network, IPv6Network, ip_address

from gateway.http.grammar import field_pattern
from gateway.http.request import Request
from gateway.http.target import raw_rest
from gateway.routing.carriers import Carriers
from gateway.routing.decision import SOURCE_RULE, Decision
from gateway.routing.forward import forward_head
from gateway.routing.instance import BASE
from gateway.routing.plan import NO_INSTANCES, Peer, Plan
from gateway.routing.services import NOT_IN_GROUP
from gateway.routing.snapshot import Snapshot
from gateway.telemetry.tracecontext import new_traceparent_line

NO_ROUTE = "no_route"

_PROTO = field_pattern(rb"x-forwarded-proto")


class EntryRouter:
    """Routes by `snapshot`, which the control plane replaces. `random_source` supplies the bits of new trace ids."""

    __slots__ = ("_carriers", "_random", "_sampled", "_trusted", "snapshot")

    def __init__(
        self,
        snapshot: Snapshot,
        carriers: Carriers,
        random_source: random.Random,
        trusted: tuple[IPv4Network | IPv6Network, ...] = (),
        trace_sampled: float = 1.0,
    ) -> None:
        self.snapshot = snapshot
        self._carriers = carriers
        self._random = random_source
        self._trusted = trusted
        self._sampled = trace_sampled

    def with_snapshot(self, snapshot: Snapshot) -> EntryRouter:
        """A router with the same settings and another snapshot."""
        return EntryRouter(snapshot, self._carriers, self._random, self._trusted, self._sampled)

    def is_trusted(self, ip: str) -> bool:
        """Whether a client at this address may send carriers and forwarding fields."""
        if not self._trusted:
            return False
        try:
            address = ip_address(ip)
        except ValueError:
            return False
        return any(address in network for network in self._trusted)

    def route(self, request: Request, peer: Peer, now: float) -> Plan:
        """Decides for one request. Never raises, never waits."""
        snapshot = self.snapshot
        decision = Decision(snapshot.revision)
        plan = Plan(decision)
        if peer.is_trusted and request.forwarded_for:
            request.client_ip = self._client_of(request, peer)
        routes = snapshot.routes
        route = routes.find(request.host if routes.by_host else "", request.path)
        fallback = self._mark(snapshot, request, peer, decision)
        if route is None:
            decision.refuse(NO_ROUTE, f"no route for {request.path} on host {request.host or '(none)'}")
            return plan
        decision.route = route.path
        if route.reply is not None:
            plan.reply = route.reply
            return plan
        decision.service = route.service
        if fallback is not None and route.service in fallback:
            fallback = None
        view = snapshot.services.get(route.service)
        if view is None:
            decision.refuse(NO_INSTANCES, f"the registry has not answered for service {route.service} yet")
            return plan
        plan.choose(view, "" if fallback is None else NOT_IN_GROUP)
        if decision.error:
            return plan
        target = request.target
        if route.segments or target[:1] != b"/":
            path = raw_rest(request.raw_path, route.prefix, route.segments) if route.segments else request.raw_path
            target = path + b"?" + request.query if request.query else path
        plan.head = forward_head(request, target, self._lines(request, peer, decision))
        return plan

    def _mark(self, snapshot: Snapshot, request: Request, peer: Peer, decision: Decision) -> frozenset[str] | None:
        """Puts the request on a lane. Returns the services the lane's group is limited to, None for no limit."""
        if peer.is_trusted and (request.tag or request.baggage):
            tag, source = self._carriers.read(request)
            if source:
                decision.tag = tag
                decision.tag_source = source
                return None
        lane = snapshot.rules.match(request)
        if lane is None:
            return None
        decision.group = lane.group
        decision.lane = lane.name
        decision.tag = lane.tag
        decision.tag_source = SOURCE_RULE
        return lane.services

    def _lines(self, request: Request, peer: Peer, decision: Decision) -> list[bytes]:
        lines: list[bytes]
        if peer.is_trusted and _PROTO.search(request.head, request.line_end) is not None:
            # The trusted proxy in front has introduced the client; add only ourselves' view of that proxy.
            lines = [b"X-Forwarded-For: ", peer.ip.encode("latin-1"), b"\r\n"]
        else:
            lines = [peer.forwarded, request.authority or decision.service.encode("latin-1"), b"\r\n"]
        if not request.traceparent:
            bits = self._random.getrandbits(192)
            sampled = self._sampled >= 1.0 or self._random.random() < self._sampled
            line = new_traceparent_line(bits, sampled)
            request.traceparent = line[13:68]
            lines.append(line)
        if request.baggage or decision.tag != BASE:
            self._carriers.write(request, decision.tag, lines)
        if request.rewrites_host:
            lines.append(b"Host: " + (request.authority or decision.service.encode("latin-1")) + b"\r\n")
        return lines

    def _client_of(self, request: Request, peer: Peer) -> str:
        """The rightmost address of X-Forwarded-For that is not a trusted proxy's."""
        client = peer.ip
        for address in reversed(b",".join(request.forwarded_for).decode("latin-1").split(",")):
            address = address.strip()
            try:
                ip_address(address)
            except ValueError:
                break
            client = address
            if not self.is_trusted(address):
                break
        return client
