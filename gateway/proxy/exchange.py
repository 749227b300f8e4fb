"""One request and its answer: from a judged head to the last byte written.

On a warm connection the whole exchange is two synchronous calls, `start` (the client's packet) and `response_received`
(the instance's). Connecting, waiting for a free connection, learning a service and trying again are the slow path, in
`attempts`.
"""

from __future__ import annotations

from collections.abc import Coroutine
from time import perf_counter
from typing import TYPE_CHECKING, Any

from gateway.http.request import Request
from gateway.http.response import Response
from gateway.proxy.accounting import settle
from gateway.proxy.answer import receive_head
from gateway.proxy.attempts import connect_and_send, learn_and_send, may_try_again
from gateway.proxy.download import Download
from gateway.proxy.inspection import gather, stop_gathering
from gateway.proxy.own_answers import answer_error, give_error, reply_when_done
from gateway.proxy.replies import CLIENT_GONE, UPGRADED
from gateway.proxy.tunnel import Tunnel, claim_tunnel, give_back
from gateway.proxy.upload import Upload
from gateway.routing.plan import Plan

if TYPE_CHECKING:
    from gateway.proxy.context import Context
    from gateway.proxy.downstream import Downstream
    from gateway.proxy.upstream import Upstream


class Exchange:
    """State of one request; nothing of it outlives the answer.

    Times are `perf_counter`'s seconds: `sent_at` when the head was handed to the instance, `answered_at` when its first
    bytes came, `passed_at` when its head was passed on. `waited` is what the slow path waited before that. `sent` counts
    the bytes of the answer's body; `upload` is None where the request has none. `cause` says why the answer is not a plain one.
    `interims` counts interim answers, `partial` is the beginning of an answer's head, `response` the head that was passed
    on, `download` what follows it.
    `keeps`: the client's connection takes another request behind this answer. `inspected` counts the bytes kept for rules.
    """

    __slots__ = (
        "_has_claim",
        "_waits_since",
        "answered_at",
        "attempts",
        "cause",
        "context",
        "download",
        "downstream",
        "has_reused",
        "inspected",
        "interims",
        "is_fresh",
        "is_over",
        "keeps",
        "partial",
        "passed_at",
        "plan",
        "request",
        "request_done",
        "response",
        "retries",
        "sent",
        "sent_at",
        "started",
        "tunnel",
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
        self.tunnel: Tunnel | None = None
        self.attempts: int = 0
        self.retries: int = 0
        self.is_fresh: bool = False
        self.has_reused: bool = False
        self.interims: int = 0
        self.cause: str = ""
        self.sent_at: float = 0.0
        self.answered_at: float = 0.0
        self.passed_at: float = 0.0
        self.waited: float = 0.0
        self.sent: int = 0
        self._waits_since: float = 0.0
        self.inspected: int = 0
        self._has_claim: bool = False
        self.partial: bytes = b""
        self.response: Response | None = None
        self.keeps: bool = False
        self.download: Download | None = None

    @property
    def has_answered(self) -> bool:
        """Whether anything of the final answer was passed on."""
        return self.response is not None

    @property
    def has_answer_begun(self) -> bool:
        """Whether the instance has sent anything of its answer."""
        return self.response is not None or bool(self.partial)

    @property
    def is_told_by_closing(self) -> bool:
        """Whether nothing but the close of its connection tells the client that it has the whole answer."""
        return self.download is not None and self.download.is_told_by_closing

    @property
    def received(self) -> int:
        """Bytes of the request's body, or of what the client sent through a tunnel."""
        if self.tunnel is not None:
            return self.tunnel.received
        return 0 if self.upload is None else self.upload.received

    @property
    def upstream_status(self) -> int:
        """The status of the instance's answer, 0 before there is one."""
        return 0 if self.response is None else self.response.status

    # --- the request, downstream → upstream

    def start(self, data: bytes, at: int) -> int:
        """Begins with what stands in `data` from `at`, behind the head; returns how far it has read.

        Of a body there may be more to read. Raises ProtocolError for a malformed one.
        """
        context = self.context
        traffic = context.traffic
        traffic.started += 1
        traffic.in_flight += 1
        decision = self.plan.decision
        if traffic.in_flight > context.limits.in_flight:
            self.fail(503, "overloaded", f"{context.limits.in_flight} requests are in flight already")
            return at
        if decision.error:
            self.carry_out()
            return at
        if self.request.upgrade and not self._claim_tunnel():
            return at
        if self.upload is not None:
            at = self.upload.begin(self, data, at)
        if self.plan.wants_body:
            gather(self)
        else:
            self.carry_out()
        return at

    def _claim_tunnel(self) -> bool:
        """Whether the client may ask for a tunnel; else it was told that it may not."""
        refusal = claim_tunnel(self.context, self.downstream.peer)
        if refusal is not None:
            self.fail(*refusal)
            return False
        self._has_claim = True
        return True

    def carry_out(self) -> None:
        """Does what the plan says."""
        plan = self.plan
        decision = plan.decision
        if decision.lane:
            self.context.traffic.count_lane(decision.group, decision.lane)
        if decision.error:
            answer_error(self)
        elif plan.reply is not None:
            reply_when_done(self)
        elif plan.unknown:
            self.wait()
            self._spawn(learn_and_send(self))
        else:
            self.send()

    def send(self) -> None:
        """Sends what there is of the request on an idle connection, or leaves it to the slow path to make one."""
        decision = self.plan.decision
        instance = decision.instance
        assert instance is not None
        upstream = self.context.origins.of(instance, decision.service).acquire_nowait()
        if upstream is None:
            self.wait()
            self._spawn(connect_and_send(self))
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
        if self.downstream.writes_paused:
            upstream.pause_reading()
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
        # The rest of the body will be streamed.
        upload.keep_little()
        if not upstream.writes_paused:
            upload.expect(self)
            self.downstream.resume_reading()

    def instance_stalled(self) -> None:
        """The instance takes what is for it more slowly than the client sends it."""
        if self.tunnel is not None:
            self.downstream.pause_reading()
            self.tunnel.stalled()
        elif self.upload is not None and not self.upload.is_done:
            self.upload.paused(self)

    def instance_drained(self) -> None:
        """The instance has taken what waited."""
        if self.tunnel is not None:
            self.downstream.resume_reading()
            self.tunnel.expect()
        elif self.upload is not None and not self.upload.is_done:
            self.upload.resumed(self)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Goes on in the slow path."""
        self.context.spawn(work, self.downstream.caught)

    def wait(self) -> None:
        """Holds everything until the slow path has a connection; each of its steps has a deadline of its own."""
        self._waits_since = perf_counter()
        self.downstream.deadline = float("inf")
        if not self.request_done:
            self.downstream.pause_reading()

    # --- the answer, upstream → downstream

    def response_received(self, data: bytes) -> None:
        """Passes on what the instance sent."""
        if self.tunnel is not None:
            self.tunnel.instance_sent(data)
            return
        if self.download is not None:
            self.downstream.deadline = self.context.now + self.context.timeouts.body_idle
            self.download.receive(self, data)
            return
        # Until there is a whole head, what comes renews nothing: the answer has one deadline, trickled or not.
        if not self.answered_at:
            self.answered_at = perf_counter()
        receive_head(self, data)

    def expect_answer(self) -> None:
        """The head of the answer is passed on: its body is awaited."""
        self.passed_at = perf_counter()
        self.downstream.deadline = self.context.now + self.context.timeouts.body_idle

    def client_stalled(self) -> None:
        """The client takes the answer more slowly than the instance sends it."""
        if self.upstream is not None:
            self.upstream.pause_reading()
        if self.tunnel is not None:
            self.tunnel.stalled()

    def client_drained(self) -> None:
        """The client has taken what waited."""
        if self.response is not None:
            self.downstream.deadline = self.context.now + self.context.timeouts.body_idle
        if self.upstream is not None:
            self.upstream.resume_reading()
        if self.tunnel is not None:
            self.tunnel.expect()

    def begin_again(self) -> None:
        """Sends the request to whom the plan holds now; the connection it was sent on is done with."""
        self._drop_upstream()
        self.has_reused = False
        self.wait()
        self._spawn(connect_and_send(self))

    def response_proceed(self) -> None:
        """Passes on what the instance sent, and was left for a later turn."""
        if self.download is not None:
            self.download.proceed(self)

    def rest_upstream(self) -> None:
        """Lets others have their turn before more of the answer is read."""
        if self.upstream is not None:
            self.upstream.rest()

    def open_tunnel(self) -> None:
        """The instance has switched protocols: from here on bytes are passed on as they come."""
        upstream = self.upstream
        assert upstream is not None
        traffic = self.context.traffic
        traffic.in_flight -= 1
        traffic.tunnels += 1
        tunnel = self.tunnel = Tunnel(self, upstream)
        tunnel.expect()
        self.downstream.tunnel_opened(tunnel)

    def tunnel_ended(self, may_send_more: bool) -> None:
        """The instance has left the tunnel. `may_send_more`: the client has not said that it sends no more."""
        self.upstream = None
        if not self.is_over:
            self.over(UPGRADED)
            self.downstream.tunnel_ended(may_send_more)

    def response_ended(self) -> bool:
        """The instance has ended what it sends; returns whether its connection stays open for what the client sends."""
        if self.tunnel is not None:
            return self.tunnel.instance_ended()
        self._lose_upstream(True)
        return False

    def response_lost(self) -> None:
        """The connection to the instance broke off, or (in TLS) ended without having said so."""
        if self.tunnel is not None:
            self.tunnel.instance_lost()
        else:
            self._lose_upstream(False)

    def _lose_upstream(self, is_clean: bool) -> None:
        """Ends the exchange as far as its connection's end does. `is_clean`: the instance meant to close it."""
        if self.download is not None:
            self.download.proceed(self, has_ended=True)
        self._drop_upstream()
        if self.is_over:
            return
        download = self.download
        if download is None:
            decision = self.plan.decision
            kind = "closed_in_head" if self.partial else "closed"
            self.context.traffic.count_upstream_error(decision.service, decision.pool, kind)
            if may_try_again(self):
                self.wait()
                self._spawn(connect_and_send(self))
            else:
                self.fail(502, "upstream_closed", f"service {decision.service} closed the connection without an answer")
        elif download.ends_with_connection and is_clean:
            download.end(self)
        else:
            self.answer_failed("truncated", "")

    # --- endings

    def answer_ended(self, is_clean: bool) -> None:
        """The answer is complete. `is_clean`: nothing followed it on the upstream connection."""
        response = self.response
        assert response is not None
        upstream = self.upstream
        if upstream is not None:
            self.upstream = None
            upstream.exchange = None
            if is_clean and response.keep_alive and self.request_done and not upstream.is_lost:
                if upstream.is_paused:
                    upstream.resume_reading()
                upstream.origin.release(upstream, self.context.now)
            else:
                upstream.close()
        self.over(response.status)
        self.downstream.exchange_ended(self.keeps)

    def answer_failed(self, kind: str, detail: str) -> None:
        """The instance's answer cannot be used: 502 where nothing was passed on yet, else the answer is cut short."""
        decision = self.plan.decision
        self.context.traffic.count_upstream_error(decision.service, decision.pool, kind)
        status = self.upstream_status
        if not status:
            # What else that service sends for this client cannot be trusted either: the client's connection closes too.
            self.request.keep_alive = False
            self.fail(502, "bad_answer", detail)
        else:
            # Without the final chunk or byte: the client must be able to tell that something is missing.
            self.abort(status, kind)

    def fail(self, status: int, code: str, detail: str) -> None:
        """Answers with an error of our own."""
        self._drop_upstream()
        give_error(self, status, code, detail)

    def abort(self, status: int, cause: str) -> None:
        """Cuts the answer short and closes both connections."""
        self.cause = cause
        self._close(status)

    def client_gone(self) -> None:
        """The client went away: nobody waits for the answer."""
        if self.tunnel is not None:
            self.tunnel.client_lost()
        self._drop_upstream()
        if not self.is_over:
            if self.tunnel is None:
                self.cause = "client_gone"
            self.over(CLIENT_GONE if self.tunnel is None else UPGRADED)

    def cut_off(self) -> None:
        """This program ends, and does not wait for the exchange."""
        self.cause = "shutdown"
        self._drop_upstream()
        self.over(UPGRADED if self.tunnel is not None else self.upstream_status or CLIENT_GONE)

    def _close(self, status: int) -> None:
        is_told_by_closing = self.is_told_by_closing
        self._drop_upstream()
        self.over(status)
        if is_told_by_closing or self.downstream.writes_paused:
            self.downstream.close_now()
        elif self.tunnel is not None:
            self.downstream.tunnel_ended(True)
        else:
            self.downstream.exchange_ended(False)

    def _drop_upstream(self) -> None:
        upstream = self.upstream
        if upstream is not None:
            self.upstream = None
            upstream.exchange = None
            upstream.close()

    def over(self, status: int) -> None:
        """Ends the exchange, as far as others need to know, with the status that the client saw."""
        self.is_over = True
        if self.inspected:
            stop_gathering(self)
        if self._has_claim:
            self._has_claim = False
            give_back(self.context, self.downstream.peer)
        settle(self, status)
