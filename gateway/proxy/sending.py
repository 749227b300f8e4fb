"""A request on its way to an instance: at once on an idle connection, or in the slow path on the next one there is."""

from __future__ import annotations

from time import perf_counter

from gateway.failures import LANE_BUSY, LANE_OVERLOADED
from gateway.grpc.timeout import with_timeout
from gateway.proxy.connecting import Unreachable, connect
from gateway.proxy.copies import MAX_BODY
from gateway.proxy.ending import Ending
from gateway.proxy.request_body import RequestBody
from gateway.proxy.retry import Retry
from gateway.proxy.upstream import Upstream
from gateway.routing.verdict import Forward, Refuse
from gateway.rules.injected import InjectedFault
from gateway.tags import BASE


class Sending(Ending):
    """The way up of an exchange."""

    __slots__ = ()

    @property
    def _forward(self) -> Forward:
        verdict = self._verdict
        assert isinstance(verdict, Forward)
        return verdict

    def _send(self, forward: Forward) -> None:
        """Sends what there is of the request on an idle connection, or leaves it to the slow path to make one."""
        decision = forward.decision
        instance = decision.instance
        assert instance is not None
        if decision.pool != BASE and not self._lane and not self._enter_lane(decision.pool):
            return
        if forward.copied_to is not None:
            self._begin_copy(forward)
        upstream = self._context.origins.of(instance, decision.service, self._request).acquire_nowait()
        if upstream is None:
            self._connect(False)
        else:
            self._send_on(upstream, forward)

    def _begin_copy(self, forward: Forward) -> None:
        """Begins a copy for the lane that mirrors, unless the body is known to be too long."""
        copies = self._context.copies
        body = self.body
        if copies is None or self._request.body > MAX_BODY or (body is not None and body.held > MAX_BODY):
            return
        self._copy = copies.begin(forward)
        if body is None and self._copy is not None:
            self._copy.body = b""

    def _injects(self, fault: InjectedFault) -> bool:
        """Counts what the lane injects; whether the exchange goes on later, after a delay, or not at all."""
        decision = self.record.decision
        self._context.traffic.count_fault(decision.service, decision.tag, fault.kind)
        if not fault.delay:
            return False
        # Who is held up has a place among those at the lane's instances: a drill, too, leaves the baseline its own.
        if not self._enter_lane(decision.tag):
            return True
        self._wait()
        self._context.loop.call_later(fault.delay, self._client.run, self._go_on)
        return True

    def _go_on(self) -> None:
        if self.is_over:
            return
        verdict = self._verdict
        if isinstance(verdict, Forward):
            self._send(verdict)
        elif isinstance(verdict, Refuse):
            self._refuse(verdict)

    def _enter_lane(self, tag: str) -> bool:
        """Takes a place among the requests at instances with a tag; if there is none, the client is told so."""
        context = self._context
        limits = context.limits
        in_flight = context.lanes.get(tag, 0)
        if in_flight >= limits.lane_in_flight:
            most, whose = limits.lane_in_flight, f"with tag {tag}"
        elif context.in_lanes >= limits.lanes_in_flight:
            most, whose = limits.lanes_in_flight, "of all lanes"
        else:
            context.lanes[tag] = in_flight + 1
            context.in_lanes += 1
            self._lane = tag
            return True
        self._note_fault(LANE_BUSY)
        self._fail(LANE_OVERLOADED, f"{most} requests are already in flight at instances {whose}")
        return False

    def _connect(self, is_new: bool) -> None:
        self._wait()
        self._forward.waits()
        self._client.clients.spawn(self._connect_and_send(self._forward, is_new), self._client.caught)

    async def _connect_and_send(self, forward: Forward, is_new: bool) -> None:
        try:
            upstream = await connect(self._context, forward, self.record, self._retries(), is_new)
        except Unreachable as error:
            if not self.is_over:
                self._fail(error.failure, error.detail)
            return
        if upstream is not None:
            self._send_on(upstream, forward)

    def _send_on(self, upstream: Upstream, forward: Forward) -> None:
        """Sends what there is of the request."""
        self.upstream = upstream
        upstream.handler = self
        upstream.served += 1
        context = self._context
        client = self._client
        record = self.record
        client.deadline = context.now + self._timeouts.response
        if client.writes_paused:
            upstream.pause_reading()
        # Before the write: it wakes the instance, which may well take this very core.
        record.sent_at = perf_counter()
        body = self.body
        head = forward.head
        if self._waits_since:
            self._end_wait(record.sent_at)
            forward.goes_on()
        if record.waited and record.expires_at:
            # It has waited here: the instance is told how much time is left.
            head = with_timeout(head, self._request.grpc_timeout, record.expires_at - record.sent_at)
        if body is not None and body.trailers:
            self._judge_trailers(body)
        upstream.send_request(self._request, head, body)
        if body is None or body.is_done:
            return
        # The rest of the body will be streamed.
        body.keep_little()
        if not upstream.writes_paused:
            self._expect_body(body)
            client.resume_reading()

    def _judge_trailers(self, body: RequestBody) -> None:
        """Leaves what may be forwarded; after the decision, which may have hidden more fields."""
        body.trailers = self._context.reader.read_trailers(self._request, body.trailers)

    def _wait(self) -> None:
        """Holds everything until the slow path has a connection; each of its steps has its own deadline."""
        now = perf_counter()
        if self._waits_since:
            self._end_wait(now)
        self._waits_since = now
        self._client.deadline = float("inf")
        if not self.request_done:
            self._client.pause_reading()

    def _end_wait(self, now: float) -> None:
        """Takes that the wait is over: that time is neither this program's nor the client's."""
        waited = now - self._waits_since
        self._waits_since = 0.0
        self.record.waited += waited
        if self.body is not None:
            self.body.begun += waited

    def instance_stalled(self) -> None:
        """The instance takes the body more slowly than the client sends it: what waits here is not to grow."""
        if self.body is not None and not self.body.is_done:
            context = self._context
            self.body.paused(context.now)
            self._client.deadline = context.now + self._timeouts.body_idle
            self._client.pause_reading()

    def instance_drained(self) -> None:
        """The instance has taken what waited."""
        if self.body is not None and not self.body.is_done:
            context = self._context
            self.body.resumed(context.now)
            self._client.deadline = context.now + self._timeouts.body_idle
            self._client.resume_reading()

    def _expect_body(self, body: RequestBody) -> None:
        context = self._context
        # What a call sends it sends when it has something to say.
        rate = 0 if self._request.is_grpc else context.limits.body_rate
        self._client.deadline = body.due(context.now, self._timeouts, rate)

    def _retries(self) -> Retry:
        retry = self._retry
        if retry is None:
            retry = self._retry = Retry(self._context, self._forward, self._request.method)
        return retry
