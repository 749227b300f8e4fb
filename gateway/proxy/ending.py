"""What an exchange holds, and the ways in which it ends, each of them once: whole, with an error, cut short, given up."""

from __future__ import annotations

from asyncio import TimerHandle
from time import perf_counter
from typing import Final

from gateway.failures import CLIENT_GONE, DEADLINE_EXCEEDED, NO_ROUTE, RESPONSE_TIMEOUT, SHUTDOWN, Failure, Fault
from gateway.grpc.status import status_of_http
from gateway.grpc.timeout import parse_timeout
from gateway.http.request import Request
from gateway.proxy.accounting import note_fault, settle
from gateway.proxy.blame import blame
from gateway.proxy.client import Client
from gateway.proxy.copies import Copy
from gateway.proxy.deadlines import Delay, judge_request, judge_response, judge_tunnel
from gateway.proxy.own_responses import error_response, options_response, route_response
from gateway.proxy.record import Record
from gateway.proxy.relay import Relay
from gateway.proxy.request_body import RequestBody
from gateway.proxy.retry import Retry
from gateway.proxy.tunnel import Tunnel
from gateway.proxy.upstream import ResponseHandler, Upstream
from gateway.routing.patience import Timeouts
from gateway.routing.verdict import Forward, Refuse, Reply, Verdict

UPGRADED: Final = 101
"""The status of an exchange that became a tunnel."""


class Ending(ResponseHandler):
    """State of one request; nothing of it outlives the response.

    `body` is the request's on its way up, None if it has none; `upstream` the connection it is sent on; `tunnel` what it
    became; `record` what is noted of it.
    """

    __slots__ = (
        "_client",
        "_context",
        "_copy",
        "_expiry",
        "_has_claim",
        "_lane",
        "_relay",
        "_request",
        "_retry",
        "_timeouts",
        "_verdict",
        "_waits_since",
        "body",
        "record",
        "tunnel",
        "upstream",
    )

    def __init__(self, client: Client, request: Request) -> None:
        started = perf_counter()
        context = self._context = client.context
        self._client = client
        self._request = request
        self._verdict: Verdict = context.router.route(request, client.peer, context.now)
        decision = self._verdict.decision
        patience = decision.patience
        self._timeouts: Timeouts = context.timeouts if patience is None else patience.timeouts
        self.record = Record(request, decision, started)
        self.body: RequestBody | None = client.request_body(request) if request.body else None
        self.upstream: Upstream | None = None
        self.tunnel: Tunnel | None = None
        self._relay: Relay | None = None
        self._retry: Retry | None = None
        self._has_claim: bool = False
        self._lane: str = ""
        self._copy: Copy | None = None
        self._waits_since: float = 0.0
        self._expiry: TimerHandle | None = None
        if request.grpc_timeout:
            self._expire_in(parse_timeout(request.grpc_timeout))

    @property
    def is_over(self) -> bool:
        """Whether it has been accounted for."""
        return self.record.status != 0

    @property
    def request_done(self) -> bool:
        """Whether all of the request has come."""
        return self.body is None or self.body.is_done

    @property
    def is_told_by_closing(self) -> bool:
        """Whether only the close of its connection tells the client that it has the whole response."""
        return self._relay is not None and self._relay.is_told_by_closing

    def _expire_in(self, seconds: float | None) -> None:
        """Ends the exchange after so many seconds, if that is for the client to say; None: it has said nothing sensible."""
        if seconds is not None and self._request.is_grpc:
            self.record.expires_at = self.record.started + seconds
            self._expiry = self._context.loop.call_later(seconds, self._client.run, self._expire)

    def _expire(self) -> None:
        if not self.is_over:
            self.stop(DEADLINE_EXCEEDED, f"the call had {self._request.grpc_timeout.decode('latin-1')}")

    # --- with our own response

    def _reply_when_done(self, verdict: Reply) -> None:
        """Gives the route's own response, after the body: what it says is nobody's business."""
        if self.body is not None:
            self.body.drop()
            if not self.body.is_done:
                return
        self._reply(verdict)

    def _reply(self, verdict: Reply) -> None:
        """Gives a response that is not an instance's."""
        keeps = self._may_keep()
        response = verdict.response
        record = self.record
        record.sent = len(response.body) if self._request.method != "HEAD" else 0
        self._over(response.status)
        self._client.respond(route_response(response, self._request, keeps, verdict.decision.response_lines()))
        self._client.exchange_ended(keeps)

    def _refuse(self, verdict: Refuse) -> None:
        """Responds to a request that the router did not want to go anywhere."""
        if verdict.failure is NO_ROUTE and self._request.path == "*":
            # RFC 9110 §9.3.7: `OPTIONS *` is for the server, and that is us.
            decision = verdict.decision
            decision.error, decision.route = "", "*"
            keeps = self._may_keep()
            self._over(204)
            self._client.respond(options_response(keeps))
            self._client.exchange_ended(keeps)
        else:
            self._fail(verdict.failure, verdict.detail)

    def _fail(self, failure: Failure, detail: str) -> None:
        """Responds with an error; nobody else responds any more."""
        self._drop_upstream()
        record = self.record
        record.cause = failure
        keeps = self._may_keep() and not failure.closes
        decision = record.decision
        decision.refuse(failure.code, detail)
        if self._request.is_grpc:
            record.grpc_status = status_of_http(failure.status)
        self._over(failure.status)
        lines = decision.response_lines()
        self._client.respond(error_response(failure, detail, self._request, keeps, lines))
        self._client.exchange_ended(keeps)

    def _may_keep(self) -> bool:
        """Whether the client's connection takes another request after our own response."""
        return self._request.keep_alive and self.request_done and not self._context.is_draining

    # --- with the instance's response

    def _response_done(self, relay: Relay, is_clean: bool) -> None:
        """The response is complete. `is_clean`: nothing followed it on the upstream connection."""
        response = relay.response
        assert response is not None
        upstream = self.upstream
        if upstream is not None:
            self.upstream = None
            upstream.handler = None
            body = self.body
            if is_clean and response.keep_alive and (body is None or body.is_done) and not upstream.is_lost:
                if upstream.is_paused:
                    upstream.resume_reading()
                upstream.owner.release(upstream, self._context.now)
            else:
                upstream.close()
        self._over(response.status)
        self._client.exchange_ended(relay.keeps)

    def end_tunnel(self) -> None:
        """The tunnel is closed at the instance's end."""
        self.upstream = None
        if not self.is_over:
            self._over(UPGRADED)

    # --- without one

    def stop(self, failure: Failure, detail: str) -> None:
        """Ends it, whatever has happened so far: with an error, or, if a response has begun, by cutting that short."""
        if self.tunnel is None and not self.record.upstream_status:
            self._fail(failure, detail)
        else:
            self._cut_short(failure)

    def client_gone(self) -> None:
        """The client went away: nobody waits for the response."""
        if self.tunnel is not None:
            self.tunnel.close()
        self._drop_upstream()
        if self.is_over:
            return
        if self.tunnel is not None:
            self._over(UPGRADED)
        else:
            self.record.cause = CLIENT_GONE
            self._over(CLIENT_GONE.status)

    def cut_off(self) -> None:
        """This program ends, and does not wait for the exchange."""
        self.record.cause = SHUTDOWN
        self._drop_upstream()
        self._over(self._seen_status() or CLIENT_GONE.status)

    def deadline_passed(self) -> None:
        """It has made no progress for too long."""
        context = self._context
        client = self._client
        if self._is_taken():
            client.deadline = context.now + self._timeouts.body_idle
            return
        delay = self._judge_delay()
        if delay.fault is not None:
            self._note_fault(delay.fault)
        if delay.failure is RESPONSE_TIMEOUT and not self._request.is_grpc and isinstance(self._verdict, Forward):
            # (To a call of gRPC it would be no fault of the instance anyway.)
            decision = self.record.decision
            decision.response_fields += blame(self.record, self._verdict)
        self.stop(delay.failure, delay.detail)

    def _judge_delay(self) -> Delay:
        client = self._client
        if self.tunnel is not None:
            return judge_tunnel(client.writes_paused or self.tunnel.is_blocked)
        if self.record.upstream_status:
            return judge_response(client.writes_paused)
        context = self._context
        body = self.body
        return judge_request(
            self.record.decision.service,
            is_whole=body is None or body.is_done,
            is_instance_slow=self.upstream is not None and self.upstream.writes_paused,
            is_silent=body is not None and context.now - body.heard_at >= self._timeouts.body_idle,
            rate=context.limits.body_rate,
        )

    def _is_taken(self) -> bool:
        """Whether somebody who is slow to read takes bytes all the same, at the rate that is required of a body."""
        client = self._client
        least = self._timeouts.due(self._context.limits.body_rate)
        if client.writes_paused and (self.record.upstream_status or self.tunnel is not None):
            return client.has_taken(least)
        upstream = self.upstream
        if upstream is None or not upstream.writes_paused or (self.request_done and self.tunnel is None):
            return False
        return upstream.has_taken(least)

    def _cut_short(self, failure: Failure) -> None:
        """Cuts the response short and closes both connections: the client must be able to tell that something is missing."""
        self.record.cause = failure
        client = self._client
        is_told_by_closing = self.is_told_by_closing
        self._drop_upstream()
        self._over(self._seen_status())
        if is_told_by_closing or client.writes_paused:
            client.close_now()
        elif self.tunnel is not None:
            client.tunnel_ended(True)
        else:
            client.exchange_ended(False)

    def _seen_status(self) -> int:
        """The status that the client saw, 0 if it saw none."""
        return UPGRADED if self.tunnel is not None else self.record.upstream_status

    # --- in any case

    def _note_fault(self, fault: Fault) -> None:
        note_fault(self._context, self.record.decision, fault)

    def _drop_upstream(self) -> None:
        upstream = self.upstream
        if upstream is not None:
            self.upstream = None
            upstream.handler = None
            upstream.close()

    def _stop_inspecting(self, body: RequestBody) -> None:
        self._context.inspected -= body.inspected
        body.inspected = 0

    def _leave_lane(self) -> None:
        """Gives back the place among the requests of its lane, if it has one."""
        lane = self._lane
        if lane:
            self._lane = ""
            lanes = self._context.lanes
            self._context.in_lanes -= 1
            lanes[lane] -= 1
            if not lanes[lane]:
                del lanes[lane]

    def _end_copy(self, copy: Copy) -> None:
        """Has the copy sent, if there is a whole response to compare with."""
        self._copy = None
        record = self.record
        copies = self._context.copies
        assert copies is not None
        if self.body is not None and copy.body is None:
            copy.take_body(self.body)
        copy.grpc_status = record.grpc_status
        copies.end(copy, record.cause is None and record.upstream_status == record.status)

    def _over(self, status: int) -> None:
        """Ends the exchange, as far as others need to know, with the status that the client saw."""
        record = self.record
        record.status = status
        if self._expiry is not None:
            self._expiry.cancel()
        tunnel = self.tunnel
        body = self.body
        if body is not None:
            if body.inspected:
                self._stop_inspecting(body)
            if tunnel is None:
                record.received = body.received
        if self._lane:
            self._leave_lane()
        if self._copy is not None:
            self._end_copy(self._copy)
        if self._has_claim:
            self._has_claim = False
            self._client.clients.give_back_tunnel(self._client.peer)
        if record.cause is not None:
            self._verdict.abandoned(self._context.now)
        self._verdict.ended()
        settle(self._context, record, tunnel is not None)
