"""One request and its answer: from a judged head to the last byte written.

On a warm connection the whole exchange is two synchronous calls, `start` (the client's packet) and `response_received`
(the instance's). Connecting, waiting for a free connection, learning a service and trying again are the slow path, in
tasks.
"""

from __future__ import annotations

import re
from time import perf_counter
from typing import TYPE_CHECKING, Final

from gateway.errors import ProtocolError
from gateway.http.chunked import ChunkedReader
from gateway.http.request import CHUNKED, Request
from gateway.http.response import UNTIL_CLOSE, Response, read_response, without
from gateway.proxy.origin import Busy
from gateway.proxy.replies import CLIENT_GONE, CONTINUE, STATUS_OF, error_reply
from gateway.routing.plan import Plan

if TYPE_CHECKING:
    from gateway.proxy.context import Context
    from gateway.proxy.downstream import Downstream
    from gateway.proxy.upstream import Upstream

# RFC 9110 §9.2.2: only these may be sent a second time without asking the client.
_IDEMPOTENT: Final = frozenset({"GET", "HEAD", "OPTIONS", "PUT", "DELETE"})
_CODING_FIELD: Final = re.compile(rb"\r\ntransfer-encoding:[^\r]*", re.IGNORECASE)

MAX_ATTEMPTS: Final = 3
"""Connections tried for one request before it fails."""


class Exchange:
    """State of one request; nothing of it outlives the answer."""

    __slots__ = (
        "_attempts",
        "_buffer",
        "_chunks_in",
        "_chunks_out",
        "_is_fresh",
        "_keeps",
        "_left_in",
        "_left_out",
        "_payload",
        "_response",
        "context",
        "downstream",
        "is_over",
        "is_tunnel",
        "plan",
        "request",
        "request_done",
        "started",
        "upstream",
    )

    def __init__(self, context: Context, downstream: Downstream, request: Request) -> None:
        self.context = context
        self.downstream = downstream
        self.request = request
        self.started: float = perf_counter()
        self.plan: Plan = context.router.route(request, downstream.peer, context.now)
        self.upstream: Upstream | None = None
        self.request_done: bool = request.body == 0
        self.is_over: bool = False
        self.is_tunnel: bool = False
        self._attempts: int = 0
        self._is_fresh: bool = False
        self._keeps: bool = False
        self._left_in: int = request.body
        self._chunks_in: ChunkedReader | None = None
        self._payload: bytes = b""
        self._buffer: bytes = b""
        self._response: Response | None = None
        self._left_out: int = 0
        self._chunks_out: ChunkedReader | None = None

    @property
    def has_answered(self) -> bool:
        """Whether anything of the final answer was passed on."""
        return self._response is not None

    # --- the request, downstream → upstream

    def start(self, data: bytes) -> bytes:
        """Begins with the bytes behind the head; returns those behind the body (the next request's).

        Raises ProtocolError for a malformed body.
        """
        context = self.context
        context.traffic.in_flight += 1
        decision = self.plan.decision
        if decision.lane:
            context.traffic.count_lane(decision.group, decision.lane)
        if decision.error:
            self.fail(STATUS_OF[decision.error], decision.error, decision.detail)
            return data
        if not self.request_done:
            if self._left_in == CHUNKED:
                self._chunks_in = ChunkedReader()
            self._payload, data = self._take(data)
            if self.request.expects_continue and not self.request_done:
                self.downstream.write(CONTINUE)
        if self.plan.unknown:
            self._wait_for_slow_path()
            context.spawn(self._learn_and_send())
        else:
            self._send()
        return data

    def request_received(self, data: bytes) -> bytes:
        """Takes more of the body; returns the bytes behind it. Raises ProtocolError for a malformed one."""
        payload, rest = self._take(data)
        if self.upstream is None:
            self._payload += payload
        else:
            self.upstream.write(payload)
            if self.request_done:
                self.downstream.deadline = self.context.now + self.context.timeouts.answer
        return rest

    def _take(self, data: bytes) -> tuple[bytes, bytes]:
        chunks = self._chunks_in
        if chunks is not None:
            payload, rest = chunks.feed(data)
            self.request_done = chunks.is_done
            return payload, rest
        if len(data) < self._left_in:
            self._left_in -= len(data)
            return data, b""
        payload = data[: self._left_in]
        rest = data[self._left_in :]
        self._left_in = 0
        self.request_done = True
        return payload, rest

    def _send(self) -> None:
        instance = self.plan.decision.instance
        assert instance is not None
        upstream = self.context.origins.of(instance).acquire_nowait()
        if upstream is None:
            self._wait_for_slow_path()
            self.context.spawn(self._connect_and_send())
        else:
            self._send_on(upstream)

    def _send_on(self, upstream: Upstream) -> None:
        self.upstream = upstream
        upstream.exchange = self
        self._is_fresh = upstream.served == 0
        upstream.served += 1
        context = self.context
        self.downstream.deadline = context.now + context.timeouts.answer
        upstream.write(self.plan.head + self._payload if self._payload else self.plan.head)
        if self.request_done:
            return
        # The rest of the body will be streamed: nothing is kept to try again with.
        self._payload = b""
        self._attempts = MAX_ATTEMPTS
        if not upstream.writes_paused:
            self.downstream.resume_reading()

    def _wait_for_slow_path(self) -> None:
        self.downstream.deadline = float("inf")  # each step of the slow path has a deadline of its own
        if not self.request_done:
            self.downstream.pause_reading()

    # --- the slow path

    async def _learn_and_send(self) -> None:
        learn = self.context.learn
        service = self.plan.unknown
        known = learn is not None and await learn(service)
        if self.is_over:
            return
        if known:
            self.plan = self.context.router.route(self.request, self.downstream.peer, self.context.now)
        decision = self.plan.decision
        if self.plan.unknown:
            self.fail(503, "registry_unavailable", f"the registry has not answered for service {service} yet")
        elif decision.error:
            self.fail(STATUS_OF[decision.error], decision.error, decision.detail)
        else:
            self._send()

    async def _connect_and_send(self) -> None:
        decision = self.plan.decision
        context = self.context
        while True:
            self._attempts += 1
            instance = decision.instance
            assert instance is not None
            try:
                upstream = await context.origins.of(instance).acquire(context.timeouts.connect)
            except Busy:
                context.traffic.count_upstream_error(decision.service, decision.pool, "busy")
                if not self.is_over:
                    self.fail(503, "upstream_busy", f"every connection to {instance.address} is in use")
                return
            except OSError as error:
                kind = "connect_timeout" if isinstance(error, TimeoutError) else "connect_error"
                context.traffic.count_upstream_error(decision.service, decision.pool, kind)
                if self.is_over:
                    return
                if self._attempts < MAX_ATTEMPTS and self.plan.choose_other() is not None:
                    context.traffic.count_retry(decision.service, kind)
                    continue
                self.fail(502, "connect_failed", f"{instance.address} of service {decision.service} does not answer")
                return
            if self.is_over:
                upstream.origin.release(upstream, context.now)
            elif upstream.is_lost:
                continue
            else:
                self._send_on(upstream)
            return

    def _try_again(self) -> bool:
        """Sends the request once more where that is safe: nothing of an answer was seen and nothing is lost."""
        request = self.request
        if not self.request_done or self._attempts >= MAX_ATTEMPTS or request.method not in _IDEMPOTENT:
            return False
        context = self.context
        decision = self.plan.decision
        if self._is_fresh:
            # A new connection that closes without a word: the instance is going away.
            if self.plan.choose_other() is None:
                return False
            context.traffic.count_retry(decision.service, "closed")
        else:
            # A kept-alive connection that the instance had closed: a new one to the same instance will do.
            context.traffic.count_retry(decision.service, "stale")
        self._wait_for_slow_path()
        context.spawn(self._connect_and_send())
        return True

    # --- the answer, upstream → downstream

    def response_received(self, data: bytes) -> None:
        """Passes on what the instance sent."""
        if self.is_tunnel:
            self.downstream.write(data)
            return
        self.downstream.deadline = self.context.now + self.context.timeouts.body_idle
        if self._response is not None:
            self._pass_body(data)
            return
        if self._buffer:
            data = self._buffer + data
        while True:
            try:
                response = read_response(data, self.request.method)
            except ProtocolError as error:
                self._fail_upstream("bad_answer", error.detail)
                return
            if response is None:
                if len(data) > self.context.head_bytes:
                    self._fail_upstream("bad_answer", "the upstream's response head is too large")
                else:
                    self._buffer = data
                return
            if response.status >= 200:
                break
            if not self._pass_interim(response, data):
                return
            data = data[response.end :]
            if not data:
                self._buffer = b""
                return
        self._buffer = b""
        self._response = response
        self._pass_head(response, data)

    def _pass_interim(self, response: Response, data: bytes) -> bool:
        """Passes a 1xx on; returns whether an answer to this exchange is still to come."""
        if response.status == 101:
            if not self.request.upgrade or not response.upgrade:
                self._fail_upstream("bad_answer", "the upstream switched protocols unasked")
                return False
            self.is_tunnel = True
            self.downstream.deadline = float("inf")
            switch = b"\r\nConnection: Upgrade\r\nUpgrade: " + response.upgrade
            self.downstream.write(response.head(data, switch) + data[response.end :])
            self.downstream.tunnel_opened()
            return False
        if self.request.version == 1 and response.status != 100:
            self.downstream.write(response.head(data, b""))
        return True

    def _pass_head(self, response: Response, data: bytes) -> None:
        request = self.request
        body = response.body
        keeps = self._keeps = self._keeps_downstream(response)
        end = response.end
        size = len(data) - end
        if keeps and 0 <= body >= size and response.minor == 1 and request.version == 1:
            # The common case: the packet as it came, less the hop-by-hop fields, in one write.
            cuts = response.cuts
            self.downstream.write(without(data, 0, len(data), cuts) if cuts else data)
            self._left_out = body - size
            if not self._left_out:
                self._finish(True)
            return
        added = b""
        if not keeps:
            added = b"\r\nConnection: close"
        elif request.version == 0:
            added = b"\r\nConnection: keep-alive"
        head = response.head(data, added)
        if body == CHUNKED:
            decodes = request.version == 0
            self._chunks_out = ChunkedReader(decode=decodes)
            if decodes:
                head = _CODING_FIELD.sub(b"", head)
        self._left_out = body
        # Head and first bytes in one write: one system call, one packet.
        self._pass_body(data[end:], head)

    def _keeps_downstream(self, response: Response) -> bool:
        if not self.request.keep_alive or self.context.is_draining or not self.request_done:
            return False
        return response.body >= 0 or (response.body == CHUNKED and self.request.version == 1)

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
                self._fail_upstream("bad_answer", error.detail)
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
            self._close(101)
        elif response is None:
            decision = self.plan.decision
            kind = "closed_in_head" if self._buffer else "closed"
            self.context.traffic.count_upstream_error(decision.service, decision.pool, kind)
            if self._buffer or not self._try_again():
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
            self.fail(502, "bad_answer", detail)
        else:
            # Without the final chunk or byte: the client must be able to tell that something is missing.
            self.abort(self._response.status)

    def fail(self, status: int, code: str, detail: str) -> None:
        """Answers with an error of our own."""
        self._drop_upstream()
        keeps = self.request.keep_alive and self.request_done and not self.context.is_draining
        decision = self.plan.decision
        decision.refuse(code, detail)
        self._over(status)
        self.downstream.write(error_reply(status, code, detail, self.request, keeps))
        self.downstream.exchange_ended(keeps)

    def timed_out(self) -> None:
        """The exchange made no progress for too long."""
        if not self.request_done and self._response is None:
            self.fail(408, "body_timeout", "the request body stopped coming")
        elif self._response is None:
            decision = self.plan.decision
            self.context.traffic.count_upstream_error(decision.service, decision.pool, "answer_timeout")
            self.fail(504, "answer_timeout", f"service {decision.service} did not answer in time")
        else:
            self.abort(self._response.status)

    def abort(self, status: int) -> None:
        """Cuts the answer short and closes both connections."""
        self._close(status)

    def client_gone(self) -> None:
        """The client went away: nobody waits for the answer."""
        self._drop_upstream()
        if not self.is_over:
            self._over(101 if self.is_tunnel else CLIENT_GONE)

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
        traffic = self.context.traffic
        traffic.in_flight -= 1
        decision = self.plan.decision
        if decision.fallback:
            traffic.count_fallback(decision.service, decision.tag, decision.fallback)
        if decision.service:
            traffic.count_exchange(decision.service, decision.tag, status, perf_counter() - self.started)
        else:
            traffic.count_refused(decision.error)
