"""One request and its response, from a judged head to the last byte written: the order of things.

On a warm connection the whole exchange is two synchronous calls, `start` (the client's packet) and `response_received`
(the instance's). Learning a service and getting a connection are the slow path, in tasks. What is decided on the way is decided
elsewhere: what to do by the router (and carried out by `deciding`), whether to try again by `retry`, who was too slow by
`deadlines`. How a request gets to an instance is in `sending`, how an exchange ends in `ending`.
"""

from __future__ import annotations

from time import perf_counter

from gateway import hop
from gateway.errors import ProtocolError
from gateway.failures import (
    CLOSED,
    CLOSED_IN_HEAD,
    CUT_OFF,
    LANE_UNAVAILABLE,
    MALFORMED,
    NO_INSTANCES,
    OVERLOADED,
    REFUSED_MISDIRECTED,
    REFUSED_UNAVAILABLE,
    Fault,
)
from gateway.proxy.accounting import note_left
from gateway.proxy.compressing import CompressingRelay
from gateway.proxy.deciding import Deciding
from gateway.proxy.own_responses import why_no_response
from gateway.proxy.relay import Relay
from gateway.proxy.request_body import RequestBody
from gateway.proxy.response_body import ENDED, ENDED_DIRTY, MORE, RESTS
from gateway.proxy.response_relay import SWITCHED
from gateway.proxy.retry import Again
from gateway.proxy.tunnel import Tunnel
from gateway.routing.verdict import CompressedForward, NeedBody, Reply
from gateway.tags import BASE


# More public members than most: what the client's side calls and what the instance's does meet here.
class Exchange(Deciding):
    """The way down, and what comes after what."""

    __slots__ = ()

    # --- the request, downstream → upstream

    def start(self, data: bytes, at: int) -> int:
        """Begins with what is in `data` from `at`, after the head; returns how far it has read.

        Of a body there may be more to read. Raises ProtocolError for a malformed one.
        """
        context = self._context
        traffic = context.traffic
        traffic.started += 1
        traffic.in_flight += 1
        if traffic.in_flight > context.limits.in_flight:
            self._fail(OVERLOADED, f"{context.limits.in_flight} requests are already in flight")
            return at
        if not self.record.decision.error:
            if self._request.upgrade and not self._claim_tunnel():
                return at
            if self.body is not None:
                at = self._begin_body(self.body, data, at)
        self._carry_out()
        return at

    def receive_body(self, data: bytes, at: int) -> int:
        """Takes more of the body from `data[at:]`; returns how far it was read. Raises ProtocolError for a malformed one."""
        body = self.body
        assert body is not None
        context = self._context
        payload, at = body.take(data, at, context.now)
        upstream = self.upstream
        verdict = self._verdict
        if upstream is not None:
            if body.trailers:
                self._judge_trailers(body)
            upstream.send_body(body, payload)
            body.passed(payload)
            if self.record.upstream_status:
                self._client.deadline = context.now + self._timeouts.body_idle
            elif body.is_done:
                self._client.deadline = context.now + self._timeouts.response
            elif not upstream.writes_paused:
                self._expect_body(body)
        elif isinstance(verdict, Reply):
            self._expect_body(body)
            self._reply_when_done(verdict)
        else:
            body.keep(payload)
            if isinstance(verdict, NeedBody):
                self._expect_body(body)
                self._inspect(verdict)
        return at

    def _claim_tunnel(self) -> bool:
        """Whether the client may ask for a tunnel; else it got the reason why not."""
        refusal = self._client.clients.claim_tunnel(self._client.peer, self._context.limits)
        if refusal is not None:
            self._fail(*refusal)
            return False
        self._has_claim = True
        return True

    def _begin_body(self, body: RequestBody, data: bytes, at: int) -> int:
        at = body.begin(data, at)
        if not body.is_done:
            self._expect_body(body)
            self._welcome()
        return at

    # --- the response, upstream → downstream

    def response_received(self, data: bytes) -> None:
        """Passes on what the instance sent."""
        relay = self._relay or self._begin_relay()
        if self._copy is not None:
            self._copy.take(data)
        try:
            state = relay.receive(data, self.body)
        except ProtocolError as error:
            self._response_failed(MALFORMED, error.detail)
            return
        if state == ENDED:
            self._response_done(relay, True)
        else:
            self._relayed(relay, state)

    def response_begun(self, head: bytes, data: bytes) -> None:
        """Passes on a whole head, and what came after it."""
        relay = self._relay or self._begin_relay()
        if self._copy is not None:
            self._copy.take(head + data)
        try:
            state = relay.begin(head, data, self.body)
        except ProtocolError as error:
            self._response_failed(MALFORMED, error.detail)
            return
        self._relayed(relay, state)

    def _begin_relay(self) -> Relay:
        self.record.responded_at = perf_counter()
        forward = self._forward
        relay = self._client.relay(self.record, forward)
        if isinstance(forward, CompressedForward):
            relay = CompressingRelay(relay, self._client, self.record, forward)
        self._relay = relay
        if self._copy is not None:
            self._copy.begin()
        return relay

    def response_proceed(self) -> None:
        """Passes on what the instance sent, and was left for a later turn."""
        relay = self._relay
        if relay is None:
            return
        try:
            state = relay.proceed()
        except ProtocolError as error:
            self._response_failed(MALFORMED, error.detail)
            return
        self._relayed(relay, state)

    def _relayed(self, relay: Relay, state: int) -> None:
        """Continues according to the state of the response."""
        if state == ENDED:
            self._response_done(relay, True)
        elif state == ENDED_DIRTY:
            self._response_done(relay, False)
        elif state == SWITCHED:
            self._open_tunnel()
        elif state in (MORE, RESTS):
            # Until there is a whole head, what comes renews nothing: the response has one deadline, trickled or not.
            if relay.response is not None:
                self._expect_more()
            if state == RESTS and self.upstream is not None:
                self.upstream.rest()
        else:
            self._turned_away(relay)

    def _expect_more(self) -> None:
        """The head of the response is passed on: its body is awaited, and there is no second time for the request's."""
        context = self._context
        self._client.deadline = context.now + self._timeouts.body_idle
        if not self.record.passed_at:
            at = self.record.passed_at = perf_counter()
            if self.record.upstream_status >= 500:
                # A client that sees the head may not wait for the rest.
                context.router.note_failure(self._request, self.record.decision, at)
            if self.body is not None:
                if self._copy is not None:
                    self._copy.take_body(self.body)
                self.body.give_up()

    def client_stalled(self) -> None:
        """The client takes the response more slowly than the instance sends it."""
        if self.tunnel is not None:
            self.tunnel.client_stalled()
        elif self.upstream is not None:
            self.upstream.pause_reading()

    def client_drained(self) -> None:
        """The client has taken what waited."""
        if self.tunnel is not None:
            self.tunnel.client_drained()
            return
        if self.record.upstream_status:
            self._client.deadline = self._context.now + self._timeouts.body_idle
        if self.upstream is not None:
            self.upstream.resume_reading()

    def _open_tunnel(self) -> None:
        """The instance has switched protocols: from here on bytes are passed on as they come."""
        upstream = self.upstream
        assert upstream is not None
        traffic = self._context.traffic
        traffic.in_flight -= 1
        traffic.tunnels += 1
        self._leave_lane()
        self.tunnel = Tunnel(self._client, upstream, self.record, self._timeouts)
        self.tunnel.expect()
        self._client.tunnel_opened()

    def response_trailers(self, lines: bytes) -> None:
        """The response ends with trailers."""
        if self._relay is not None:
            self._relay.take_trailers(lines)

    def response_ended(self) -> bool:
        """The instance has closed its connection, and meant to; or its stream has ended."""
        self._lose_upstream(True)
        return False

    def response_lost(self) -> None:
        """The connection to the instance broke off, or (in TLS) ended without having said so."""
        self._lose_upstream(False)

    def broken(self) -> None:
        """This program has hit an internal error."""
        self._client.broken()

    # --- trying again

    def _lose_upstream(self, is_clean: bool) -> None:
        """Ends the exchange as far as its connection's end does. `is_clean`: the instance meant to close it."""
        relay = self._relay
        if relay is not None and relay.response is not None:
            try:
                state = relay.proceed(has_ended=True)
            except ProtocolError as error:
                self._response_failed(MALFORMED, error.detail)
                return
            if state != MORE or (is_clean and relay.end()):
                self._response_done(relay, False)
            else:
                self._response_failed(CUT_OFF, "")
            return
        self._respond_not(CLOSED_IN_HEAD if relay is not None and relay.is_in_head else CLOSED)

    def response_aborted(self, fault: Fault, detail: str) -> None:
        """There will be no (more of a) response."""
        relay = self._relay
        if relay is not None and relay.response is not None:
            self._response_failed(MALFORMED if fault is MALFORMED else CUT_OFF, detail)
        else:
            self._respond_not(fault, detail)

    def _respond_not(self, fault: Fault, detail: str = "") -> None:
        """The instance does not respond: another one does, or nobody."""
        is_fresh = self.upstream is not None and self.upstream.served == 1
        self._drop_upstream()
        if self.is_over:
            return
        forward = self._forward
        instance = forward.instance
        again = self._verdict_after(fault, is_fresh)
        if again is None or again.instance is not instance:
            # Else nothing is wrong with the instance: it has only closed this connection, as it may.
            self._note_fault(fault)
        if again is None:
            self._fail(fault.failure, why_no_response(fault, forward.decision.service, detail))
            return
        note_left(self._context, forward.decision.service, instance, fault, is_fresh)
        self._go_again(again)

    def _turned_away(self, relay: Relay) -> None:
        """A sidecar has refused the request unprocessed: it goes elsewhere, or there is nobody else."""
        refused = relay.refused
        assert refused is not None
        is_other = refused.told == hop.MISDIRECTED
        fault = REFUSED_MISDIRECTED if is_other else REFUSED_UNAVAILABLE
        decision = self.record.decision
        address = self._forward.instance.address
        self._note_fault(fault)
        again = self._verdict_after(fault, True)
        if again is None and not is_other:
            # What it says of its application is the response.
            try:
                state = relay.pass_refusal(self.body)
            except ProtocolError as error:
                self._response_failed(MALFORMED, error.detail)
                return
            self._relayed(relay, state)
            return
        self.record.responded_at = 0.0
        if again is not None:
            self._drop_upstream()
            self._go_again(again)
            return
        is_whole = self.body is None or self.body.can_replay
        why = "there is no other instance" if is_whole else "the body is too long to be resent"
        self._fail(
            LANE_UNAVAILABLE if is_whole and decision.pool != BASE else NO_INSTANCES,
            f"{address} is not the intended instance of service {decision.service}, and {why}",
        )

    def _verdict_after(self, fault: Fault, is_fresh: bool) -> Again | None:
        """Whether and where the request is sent once more: only if all of it is still here."""
        if self.body is not None and not self.body.can_replay:
            return None
        return self._retries().after(fault, is_fresh=is_fresh)

    def _go_again(self, again: Again) -> None:
        """Sends the request once more; the connection it was sent on is done with."""
        again.apply(self._forward)
        self._relay = None
        self._connect(again.is_new)

    def _response_failed(self, fault: Fault, detail: str) -> None:
        """The response cannot be used: 502 if nothing was passed on yet, else it is cut short."""
        self._note_fault(fault)
        self.stop(fault.failure, detail)
