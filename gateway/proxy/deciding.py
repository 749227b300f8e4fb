"""What a router says of a request, carried out: at once, or when more is known of it and it has been routed again."""

from __future__ import annotations

from time import perf_counter

from gateway.failures import OVERLOADED, PERMISSION_UNKNOWN, REGISTRY_UNAVAILABLE
from gateway.http.content import read_content
from gateway.http.permission import Permission
from gateway.proxy.own_responses import CONTINUE
from gateway.proxy.sending import Sending
from gateway.routing.questions import Denial, NeedPermission
from gateway.routing.router import UNREAD
from gateway.routing.verdict import Forward, NeedBody, NeedService, Refuse, Reply


class Deciding(Sending):
    """The verdicts of an exchange."""

    __slots__ = ()

    def _inspect(self, need: NeedBody) -> None:
        """Continues with a request whose body rules need, as soon as it is whole or longer than they look."""
        context = self._context
        body = self.body
        assert body is not None
        context.inspected += body.held - body.inspected
        body.inspected = body.held
        if not body.is_done and body.held <= need.limit:
            most = context.limits.inspected_bytes
            if context.inspected > most:
                self._fail(OVERLOADED, f"{most} bytes of request bodies are already held for rules")
            return
        is_whole = body.is_done and body.received <= need.limit
        # What was parsed is many times larger than the body: nobody keeps it.
        self._route_again(read_content(self._request, body.framed(body.kept)) if is_whole else None)
        self._stop_inspecting(body)
        self._carry_out()

    def _route_again(self, content: object = UNREAD) -> None:
        context = self._context
        self._verdict = context.router.route(self._request, self._client.peer, context.now, content)
        self.record.decision = self._verdict.decision

    def _carry_out(self) -> None:
        """Does what the verdict says."""
        verdict = self._verdict
        decision = verdict.decision
        if decision.lane:
            self._context.traffic.count_lane(decision.group, decision.lane)
        if decision.fault is not None and self._injects(decision.fault):
            return
        if isinstance(verdict, Forward):
            self._send(verdict)
        elif isinstance(verdict, Reply):
            self._reply_when_done(verdict)
        elif isinstance(verdict, NeedBody):
            self._inspect(verdict)
        elif isinstance(verdict, NeedPermission):
            self._wait()
            need = verdict
            need.give_up = self._client.clients.spawn(self._ask(need), self._client.caught).cancel
        elif isinstance(verdict, NeedService):
            self._wait()
            self._client.clients.spawn(self._learn(verdict), self._client.caught)
        elif isinstance(verdict, Refuse):
            self._refuse(verdict)

    def _welcome(self) -> None:
        """Tells a client that waits for it to send the body: unless the request may not pass, or that is not known yet."""
        is_welcome = not self.record.decision.error and not isinstance(self._verdict, NeedPermission)
        if self._request.expects_continue and is_welcome:
            self._client.send_interim(CONTINUE)

    async def _ask(self, need: NeedPermission) -> None:
        """Asks whether the request may pass, and goes on with what that means."""
        request = self._request
        question = need.question
        answer = await question.ask(request, self._client.peer, need.decision.client_ip)
        need.give_up = None
        self._context.traffic.count_question(question.by, _kind(answer))
        if self.is_over:
            return
        self._end_wait(perf_counter())
        if isinstance(answer, Denial):
            verdict = self._verdict = answer.verdict(need.decision)
            if isinstance(verdict, Reply):
                self._reply(verdict)  # at once: what this client would send is of no use
                return
        else:
            request.permit(question, answer, question.names)
            self._route_again()
        body = self.body
        if body is not None and not body.is_done:
            self._welcome()
            self._client.resume_reading()
            self._expect_body(body)
        self._carry_out()

    async def _learn(self, need: NeedService) -> None:
        """Queries the registry for a service that the router did not know, and sends the request there."""
        learn = self._context.learn
        known = learn is not None and await learn(need.service)
        if self.is_over:
            return
        if known:
            self._route_again()
        verdict = self._verdict
        fault = verdict.decision.fault
        if fault is not None and self._injects(fault):
            return
        if isinstance(verdict, Forward):
            self._send(verdict)
        elif isinstance(verdict, Refuse):
            self._refuse(verdict)
        else:
            self._fail(REGISTRY_UNAVAILABLE, f"the registry has not reported on service {need.service} yet")


def _kind(answer: Permission | Denial) -> str:
    """What an answer is counted as."""
    if isinstance(answer, Denial):
        return "failed" if answer.failure is PERMISSION_UNKNOWN else "denied"
    return "granted"
