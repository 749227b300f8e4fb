"""What a request must pass before it is marked for a lane: one ordered chain, of what a route has."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from gateway.failures import CLIENT_DENIED, ORIGIN_DENIED, RATE_LIMITED, TOKEN_REQUIRED
from gateway.http.request import ORIGIN, Request
from gateway.routing.access import AccessList
from gateway.routing.cors import Cors
from gateway.routing.decision import Decision
from gateway.routing.questions import Denial, NeedPermission, Question
from gateway.routing.ratelimit import RateLimits
from gateway.routing.verdict import Refuse, Reply, Verdict
from gateway.rules.context import MatchContext
from gateway.rules.fields import Claims

CHALLENGE: Final = b"\r\nWWW-Authenticate: Bearer"
"""What a response of 401 must have (RFC 9110 §11.6.1, RFC 6750 §3)."""


class Gate:
    """The chain of one route: clients by address, CORS, rate limits, tokens, then those who have to be asked.

    `claims` reads the claims of a request's token, which there must be; None: there need be none.
    """

    __slots__ = ("_access", "_claims", "_cors", "limits", "questions")

    def __init__(
        self,
        access: Sequence[AccessList] = (),
        cors: Cors | None = None,
        limits: RateLimits | None = None,
        claims: Claims | None = None,
        questions: Sequence[Question] = (),
    ) -> None:
        self._access: tuple[AccessList, ...] = tuple(access)
        self._cors = cors
        self.limits = limits
        self._claims = claims
        self.questions: tuple[Question, ...] = tuple(questions)

    def check(self, request: Request, decision: Decision, counts: bool, asks: bool) -> Verdict | None:
        """What becomes of a request that does not pass yet; None: it passes, and its decision has what the response gets.

        `counts`: it is a request, and is seen for the first time. Without `asks`, it is as if all who are asked let it pass.
        """
        for access in self._access:
            if not access.serves(decision.client_ip):
                return Refuse(decision, CLIENT_DENIED, f"clients at {decision.client_ip} are not served here")
        cors = self._cors
        if cors is not None:
            if request.is_preflight:
                response = cors.preflight(request)
                if response is not None:
                    return Reply(decision, response)
                origin = (request.header(ORIGIN) or "")[:256]
                return Refuse(decision, ORIGIN_DENIED, f"pages of {origin} may not use this route")
            decision.response_fields += cors.lines(request)
        limits = self.limits
        if limits is not None:
            wait, lines = limits.take(MatchContext(request, decision.client_ip), counts)
            decision.response_fields += lines
            if counts and wait > 0.0:
                return Refuse(decision, RATE_LIMITED, f"too many requests; the next one is served in {wait:.1f} s")
        claims = self._claims
        # After the limits: to verify a signature takes a while.
        if claims is not None and not claims(MatchContext(request, decision.client_ip)):
            decision.response_fields += CHALLENGE
            return Refuse(decision, TOKEN_REQUIRED, "a valid token is required")
        return self._ask(request, decision, asks) if self.questions else None

    def _ask(self, request: Request, decision: Decision, asks: bool) -> Verdict | None:
        """What becomes of a request for which somebody is asked; None: all have said that it passes, or nobody asks."""
        if not asks:
            for question in self.questions:
                request.vouch(question.names)
            return None
        said = request.permissions
        if said and any(question not in self.questions for question in said):
            request.forget_permissions()  # the configuration has changed meanwhile: these are of another one
        for question in self.questions:
            known = request.permissions
            permission = None if known is None else known.get(question)
            if permission is None:
                answer = question.recall(request)
                if isinstance(answer, Denial):
                    return answer.verdict(decision)
                if answer is None:
                    return NeedPermission(decision, question)
                request.permit(question, answer, question.names)
                permission = answer
            decision.response_fields += permission.lines
        return None
