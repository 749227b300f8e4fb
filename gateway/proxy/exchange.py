"""One request and its answer: from a judged head to the last byte written.

On a warm connection the whole exchange is two synchronous calls, `start` (the client's packet) and `response_received`
(the instance's). Connecting, waiting for a free connection, learning a service and trying again are the slow path, in
`attempts`.
"""

from __future__ import annotations

import re
from time import perf_counter
from typing import TYPE_CHECKING, Final

from gateway import hop
from gateway.errors import ProtocolError
from gateway.http.chunked import ChunkedReader
from gateway.http.content import read_content
from gateway.http.prefix import Prefix
from gateway.http.request import CHUNKED, Request
from gateway.http.response import UNTIL_CLOSE, Response, without
from gateway.proxy.attempts import connect_and_send, learn_and_send, may_try_again, turn_away
from gateway.proxy.replies import CLIENT_GONE, CONTINUE, STATUS_OF, UPGRADED, error_reply, options_reply
from gateway.proxy.upload import Upload
from gateway.routing.ejection import ERRORS, Ejector
from gateway.routing.plan import Plan

if TYPE_CHECKING:
    from gateway.proxy.context import Context
    from gateway.proxy.downstream import Downstream
    from gateway.proxy.upstream import Upstream

_CODING_FIELD: Final = re.compile(rb"\r\ntransfer-encoding:[^\r]*", re.IGNORECASE)
_FAILED: Final = frozenset({"answer_timeout", "bad_answer", "truncated", "upstream_closed"})
"""Causes that speak against the instance."""


class Exchange:
    """State of one request; nothing of it outlives the answer.

    Times are `perf_counter`'s seconds: `sent_at` when the head was handed to the instance, `answered_at` when its first
    bytes came, `passed_at` when its head was passed on. `waited` is what the slow path waited before that. `sent` counts
    the bytes of the answer's body; `upload` is None where the request has none. `cause` says why the answer is not a plain one.
    """

    __slots__ = (
        "_buffer",
        "_chunks_out",
        "_keeps",
        "_left_out",
        "_response",
        "_waits_since",
        "answered_at",
        "attempts",
        "cause",
        "context",
        "downstream",
        "has_reused",
        "is_fresh",
        "is_over",
        "is_tunnel",
        "passed_at",
        "plan",
        "request",
        "request_done",
        "retries",
        "sent",
        "sent_at",
        "started",
        "upload",
        "upstream",
        "waited",
    )

    def __init__(self, context: Context, downstream: Downstream, request: Request) -> None:
        self.context = context
        self.downstream = downstream
        self.request = request
        self.started: float = perf_counter()
        self.plan: Plan = context.router.route(request, downstream.peer, context.now)
        self.upstream: Upstream | None = None
        self.upload: Upload | None = Upload(request.body, context.now) if request.body else None
        self.request_done: bool = self.upload is None
        self.is_over: bool = False
        self.is_tunnel: bool = False
        self.attempts: int = 0
        self.retries: int = 0
        self.is_fresh: bool = False
        self.has_reused: bool = False
        self.cause: str = ""
        self.sent_at: float = 0.0
        self.answered_at: float = 0.0
        self.passed_at: float = 0.0
        self.waited: float = 0.0
        self.sent: int = 0
        self._waits_since: float = 0.0
        self._keeps: bool = False
        self._buffer: bytes = b""
        self._response: Response | None = None
        self._left_out: int = 0
        self._chunks_out: ChunkedReader | None = None

    @property
    def has_answered(self) -> bool:
        """Whether anything of the final answer was passed on."""
        return self._response is not None

    @property
    def has_answer_begun(self) -> bool:
        """Whether the instance has sent anything of its answer."""
        return self._response is not None or bool(self._buffer)

    @property
    def upstream_status(self) -> int:
        """The status of the instance's answer, 0 before there is one."""
        return 0 if self._response is None else self._response.status

    # --- the request, downstream → upstream

    def start(self, data: bytes) -> bytes:
        """Begins with the bytes behind the head; returns those behind the body (the next request's).

        Raises ProtocolError for a malformed body.
        """
        context = self.context
        traffic = context.traffic
        traffic.started += 1
        traffic.in_flight += 1
        decision = self.plan.decision
        if traffic.in_flight > context.limits.in_flight:
            self.fail(503, "overloaded", f"{context.limits.in_flight} requests are in flight already")
            return data
        if decision.error:
            self._carry_out()
            return data
        upload = self.upload
        if upload is not None:
            upload.kept, data = upload.take(data)
            self.request_done = upload.is_done
            if self.request.expects_continue and not self.request_done:
                self.downstream.write(CONTINUE)
        if self.plan.wants_body:
            self._gather()
        else:
            self._carry_out()
        return data

    def _carry_out(self) -> None:
        """Does what the plan says."""
        plan = self.plan
        decision = plan.decision
        if decision.lane:
            self.context.traffic.count_lane(decision.group, decision.lane)
        if decision.error:
            self._answer_ourselves()
        elif plan.reply is not None:
            self._reply_when_done()
        elif plan.unknown:
            self.wait()
            self.context.spawn(learn_and_send(self))
        else:
            self.send()

    def _gather(self) -> None:
        """Keeps the body until it is whole, or longer than rules look at, and routes by what it says."""
        context = self.context
        upload = self.upload
        assert upload is not None
        if not upload.is_done and len(upload.kept) <= self.plan.wants_body:
            timeouts = context.timeouts
            self.downstream.deadline = upload.deadline(
                context.now, timeouts.body_idle, timeouts.body_grace, context.limits.body_rate
            )
            return
        request = self.request
        request.is_inspected = True
        if upload.is_done and upload.received <= self.plan.wants_body:
            request.content = read_content(request, upload.kept)
        self.plan = context.router.route(request, self.downstream.peer, context.now)
        self._carry_out()

    def _answer_ourselves(self) -> None:
        decision = self.plan.decision
        if decision.error == "no_route" and self.request.path == "*":
            # RFC 9110 §9.3.7: `OPTIONS *` asks the server, and that is us.
            decision.error, decision.route = "", "*"
            keeps = self._keeps_after_own_answer()
            self._over(204)
            self.downstream.write(options_reply(keeps))
            self.downstream.exchange_ended(keeps)
        else:
            self.fail(STATUS_OF[decision.error], decision.error, decision.detail)

    def _reply_when_done(self) -> None:
        """Gives the route's own answer, after the body: what it says is nobody's business."""
        if self.upload is not None:
            self.upload.kept = b""
        reply = self.plan.reply
        if reply is None or not self.request_done:
            return
        keeps = self._keeps_after_own_answer()
        request = self.request
        has_body = request.method != "HEAD"
        self.sent = len(reply.body) if has_body else 0
        self._over(reply.status)
        added = self.plan.answer_lines()
        if keeps and request.version == 1 and not added:
            self.downstream.write(reply.whole if has_body else reply.head + b"\r\n")
        else:
            connection = b"Connection: keep-alive" if keeps else b"Connection: close"
            self.downstream.write(reply.head + connection + added + b"\r\n\r\n" + (reply.body if has_body else b""))
        self.downstream.exchange_ended(keeps)

    def _keeps_after_own_answer(self) -> bool:
        return self.request.keep_alive and self.request_done and not self.context.is_draining

    def request_received(self, data: bytes) -> bytes:
        """Takes more of the body; returns the bytes behind it. Raises ProtocolError for a malformed one."""
        upload = self.upload
        assert upload is not None
        payload, rest = upload.take(data)
        self.request_done = upload.is_done
        context = self.context
        timeouts = context.timeouts
        now = context.now
        if self.request_done:
            self.downstream.deadline = now + timeouts.answer
        else:
            rate = context.limits.body_rate
            self.downstream.deadline = upload.deadline(now, timeouts.body_idle, timeouts.body_grace, rate)
        if self.plan.reply is not None:
            self._reply_when_done()
        elif self.upstream is None:
            upload.kept += payload
            if self.plan.wants_body:
                self._gather()
        else:
            self.upstream.write(payload)
        return rest

    def send(self) -> None:
        """Sends what there is of the request on an idle connection, or leaves it to the slow path to make one."""
        decision = self.plan.decision
        instance = decision.instance
        assert instance is not None
        upstream = self.context.origins.of(instance, decision.service).acquire_nowait()
        if upstream is None:
            self.wait()
            self.context.spawn(connect_and_send(self))
        else:
            self.send_on(upstream)

    def send_on(self, upstream: Upstream) -> None:
        """Sends what there is of the request."""
        self.upstream = upstream
        upstream.exchange = self
        self.is_fresh = upstream.served == 0
        upstream.served += 1
        context = self.context
        self.downstream.deadline = context.now + context.timeouts.answer
        # Before the write: it wakes the instance, which may well take this very core.
        self.sent_at = perf_counter()
        upload = self.upload
        upstream.write(self.plan.head if upload is None else self.plan.head + upload.kept)
        if self._waits_since:
            waited = self.sent_at - self._waits_since
            self.waited += waited
            self._waits_since = 0.0
            if upload is not None:
                upload.begun += waited
        if upload is None or upload.is_done:
            return
        # The rest of the body will be streamed: nothing is kept to try again with.
        upload.kept = b""
        upload.can_replay = False
        if not upstream.writes_paused:
            self.downstream.resume_reading()

    def upload_paused(self) -> None:
        """The instance takes the body more slowly than the client sends it: what waits here is not to grow."""
        upload = self.upload
        if upload is not None:
            upload.paused(self.context.now)
            if not upload.is_done:
                self.downstream.deadline = self.context.now + self.context.timeouts.body_idle
                self.downstream.pause_reading()

    def upload_resumed(self) -> None:
        """The instance has taken what waited."""
        upload = self.upload
        if upload is not None:
            upload.resumed(self.context.now)
            if not upload.is_done:
                self.downstream.deadline = self.context.now + self.context.timeouts.body_idle
                self.downstream.resume_reading()

    def wait(self) -> None:
        """Holds everything until the slow path has a connection; each of its steps has a deadline of its own."""
        self._waits_since = perf_counter()
        self.downstream.deadline = float("inf")
        if not self.request_done:
            self.downstream.pause_reading()

    # --- the answer, upstream → downstream

    def response_received(self, data: bytes) -> None:
        """Passes on what the instance sent."""
        if self.is_tunnel:
            self.sent += len(data)
            self.downstream.write(data)
            return
        if not self.answered_at:
            self.answered_at = perf_counter()
        self.downstream.deadline = self.context.now + self.context.timeouts.body_idle
        if self._response is not None:
            self._pass_body(data)
            return
        seen = len(self._buffer)
        if seen:
            data = self._buffer + data
        while True:
            try:
                response = self.context.response_reader.read(data, self.request.method, seen)
            except ProtocolError as error:
                self._fail_upstream("bad_answer", error.detail)
                return
            if response is None:
                self._buffer = data
                return
            if response.status >= 200:
                break
            if not self._pass_interim(response, data):
                return
            data = data[response.end :]
            seen = 0
            if not data:
                self._buffer = b""
                return
        self._buffer = b""
        if response.hop and self.plan.hop and self._is_turned_away(response.hop, response.status):
            return
        self._response = response
        self._pass_head(response, data)

    def _is_turned_away(self, reason: bytes, status: int) -> bool:
        """Whether a sidecar's refusal was dealt with: the request goes elsewhere, or there is nobody else."""
        if hop.STATUS_OF.get(reason) != status:
            return False
        decision = self.plan.decision
        instance = decision.instance
        goes_on = turn_away(self, reason)
        if not goes_on and reason == hop.UNAVAILABLE:
            return False  # what it says of its application is the answer
        self._drop_upstream()
        self.answered_at = 0.0
        self.has_reused = False
        if goes_on:
            self.wait()
            self.context.spawn(connect_and_send(self))
        else:
            address = "" if instance is None else instance.address
            self.fail(
                503, "no_instances", f"{address} is not an instance of service {decision.service}, and it was the last"
            )
        return True

    def _pass_interim(self, response: Response, data: bytes) -> bool:
        """Passes a 1xx on; returns whether an answer to this exchange is still to come."""
        if response.status == 101:
            if not self.request.upgrade or not response.upgrade:
                self._fail_upstream("bad_answer", "the instance switched protocols unasked")
                return False
            self.is_tunnel = True
            self.downstream.deadline = float("inf")
            switch = b"\r\nConnection: Upgrade\r\nUpgrade: " + response.upgrade
            self.downstream.write(response.head(data, switch) + data[response.end :])
            self.downstream.tunnel_opened()
            return False
        # RFC 9110 §15.2: 1xx are passed on, but not to HTTP/1.0. We have said 100 ourselves where the client expected it.
        if self.request.version == 1 and not (response.status == 100 and self.request.expects_continue):
            self.downstream.write(response.head(data, b""))
        return True

    def _pass_head(self, response: Response, data: bytes) -> None:
        request = self.request
        body = response.body
        keeps = self._keeps = (
            request.keep_alive
            and self.request_done
            and not self.context.is_draining
            and (body >= 0 or (body == CHUNKED and request.version == 1))
        )
        end = response.end
        size = len(data) - end
        plan = self.plan
        added = plan.answer_lines() if plan.explains or plan.answer_fields else b""
        if plan.stripped and response.has_places:
            added = Prefix(plan.stripped, request, self.downstream.peer.is_trusted).restore(response, data) + added
        if keeps and 0 <= body >= size and response.minor == 1 and request.version == 1 and not added:
            # The common case: the packet as it came, less the hop-by-hop fields, in one write.
            cuts = response.cuts
            self.downstream.write(without(data, 0, len(data), cuts) if cuts else data)
            self._left_out = body - size
            self.sent = size
            if not self._left_out:
                self._finish(True)
            else:
                self.passed_at = perf_counter()
            return
        if not keeps:
            added += b"\r\nConnection: close"
        elif request.version == 0:
            added += b"\r\nConnection: keep-alive"
        head = response.head(data, added)
        if body == CHUNKED:
            self._chunks_out = ChunkedReader(decode=request.version == 0)
        if request.version == 0:
            head = _CODING_FIELD.sub(b"", head)
        self._left_out = body
        # Head and first bytes in one write: one system call, one packet.
        self._pass_body(data[end:], head)
        if not self.is_over:
            self.passed_at = perf_counter()

    def _pass_body(self, data: bytes, head: bytes = b"") -> None:
        response = self._response
        assert response is not None
        chunks = self._chunks_out
        is_done = False
        is_clean = True
        if chunks is not None:
            try:
                data, rest = chunks.feed(data)
            except ProtocolError as error:
                if head:
                    self._response = None  # nothing of it was passed on: the client can still get a whole 502
                self._fail_upstream("bad_answer", f"the body of the instance's answer is malformed: {error.detail}")
                return
            is_done = chunks.is_done
            is_clean = not rest
        elif response.body != UNTIL_CLOSE:
            surplus = len(data) - self._left_out
            if surplus > 0:
                data = data[: self._left_out]
                is_clean = False
            self._left_out -= len(data)
            is_done = not self._left_out
        self.sent += len(data)
        if head:
            data = head + data if data else head
        if data:
            self.downstream.write(data)
        if is_done:
            self._finish(is_clean)

    def response_ended(self) -> None:
        """The instance closed the connection, or it was lost."""
        upstream = self.upstream
        if upstream is not None:
            upstream.exchange = None
            upstream.close()
            self.upstream = None
        if self.is_over:
            return
        response = self._response
        if self.is_tunnel:
            self._close(UPGRADED)
        elif response is None:
            decision = self.plan.decision
            kind = "closed_in_head" if self._buffer else "closed"
            self.context.traffic.count_upstream_error(decision.service, decision.pool, kind)
            if may_try_again(self):
                self.wait()
                self.context.spawn(connect_and_send(self))
            else:
                self.fail(502, "upstream_closed", f"service {decision.service} closed the connection without an answer")
        elif response.body == UNTIL_CLOSE:
            self._over(response.status)
            self.downstream.exchange_ended(False)
        else:
            self._fail_upstream("truncated", "")

    # --- endings

    def _finish(self, is_clean: bool) -> None:
        """The answer is complete. `is_clean`: nothing followed it on the upstream connection."""
        response = self._response
        upstream = self.upstream
        assert response is not None
        if upstream is not None:
            self.upstream = None
            upstream.exchange = None
            if is_clean and response.keep_alive and self.request_done and not upstream.is_lost:
                if upstream.is_paused:
                    upstream.resume_reading()
                upstream.origin.release(upstream, self.context.now)
            else:
                upstream.close()
        self._over(response.status)
        self.downstream.exchange_ended(self._keeps)

    def _fail_upstream(self, kind: str, detail: str) -> None:
        """The instance's answer cannot be used: 502 where nothing was passed on yet, else the answer is cut short."""
        decision = self.plan.decision
        self.context.traffic.count_upstream_error(decision.service, decision.pool, kind)
        if self._response is None:
            # What else that service sends for this client cannot be trusted either: the client's connection closes too.
            self.request.keep_alive = False
            self.fail(502, "bad_answer", detail)
        else:
            # Without the final chunk or byte: the client must be able to tell that something is missing.
            self.abort(self._response.status, kind)

    def fail(self, status: int, code: str, detail: str) -> None:
        """Answers with an error of our own."""
        self._drop_upstream()
        self.cause = code
        keeps = self._keeps_after_own_answer()
        decision = self.plan.decision
        decision.refuse(code, detail)
        self._over(status)
        self.downstream.write(error_reply(status, code, detail, self.request, keeps, self.plan.answer_lines()))
        self.downstream.exchange_ended(keeps)

    def timed_out(self) -> None:
        """The exchange made no progress for too long."""
        decision = self.plan.decision
        traffic = self.context.traffic
        response = self._response
        if response is not None:
            slow_client = self.downstream.writes_paused
            if not slow_client:
                traffic.count_upstream_error(decision.service, decision.pool, "body_timeout")
            self.abort(response.status, "slow_client" if slow_client else "body_timeout")
        elif self.request_done:
            traffic.count_upstream_error(decision.service, decision.pool, "answer_timeout")
            self.fail(504, "answer_timeout", f"service {decision.service} did not answer in time")
        elif self.upstream is not None and self.upstream.writes_paused:
            traffic.count_upstream_error(decision.service, decision.pool, "answer_timeout")
            self.fail(504, "answer_timeout", f"service {decision.service} did not take the request body in time")
        elif self.context.now - self.downstream.heard_at >= self.context.timeouts.body_idle:
            self.fail(408, "body_timeout", "the request body stopped coming")
        else:
            rate = self.context.limits.body_rate
            self.fail(408, "body_too_slow", f"the request body came at less than {rate} bytes a second")

    def abort(self, status: int, cause: str) -> None:
        """Cuts the answer short and closes both connections."""
        self.cause = cause
        self._close(status)

    def client_gone(self) -> None:
        """The client went away: nobody waits for the answer."""
        self._drop_upstream()
        if not self.is_over:
            if not self.is_tunnel:
                self.cause = "client_gone"
            self._over(UPGRADED if self.is_tunnel else CLIENT_GONE)

    def _close(self, status: int) -> None:
        self._drop_upstream()
        self._over(status)
        self.downstream.close_now()

    def _drop_upstream(self) -> None:
        upstream = self.upstream
        if upstream is not None:
            self.upstream = None
            upstream.exchange = None
            upstream.close()

    def _over(self, status: int) -> None:
        self.is_over = True
        now = perf_counter()
        context = self.context
        traffic = context.traffic
        traffic.in_flight -= 1
        decision = self.plan.decision
        visit = self.plan.visit
        if visit is not None:
            visit.leave()
        overhead = self._overhead(now) if self.answered_at else -1.0
        if decision.fallback:
            traffic.count_fallback(decision.service, decision.tag, decision.fallback)
        if decision.service:
            upload, response = self.upload, self._response
            received = len(self.request.head) + (0 if upload is None else upload.received)
            sent = self.sent + (0 if response is None else response.end)
            traffic.count_exchange(decision.service, decision.tag, status, now - self.started, overhead, received, sent)
        elif decision.error:
            traffic.count_refused(decision.error)
        else:
            traffic.count_reply(decision.route, status)
        ejector = context.ejector
        if ejector is not None and (status >= 500 or self.cause or ejector.records):
            self._judge(ejector)
        if context.log is not None:
            context.log.record(self, status, now, overhead)

    def _judge(self, ejector: Ejector) -> None:
        """Tells how the instance has answered, where it was asked."""
        decision = self.plan.decision
        instance = decision.instance
        response = self._response
        if instance is None:
            return
        is_stalled = self.cause == "body_timeout" and response is not None
        if self.cause in _FAILED or is_stalled or (response is not None and response.status >= 500):
            ejector.failed(decision.service, instance, ERRORS)
        elif response is not None:
            ejector.succeeded(decision.service, instance)

    def _overhead(self, now: float) -> float:
        """Seconds that this program took: until the head was handed on, and from the answer's coming to its passing on."""
        return self.sent_at - self.started - self.waited + (self.passed_at or now) - self.answered_at
