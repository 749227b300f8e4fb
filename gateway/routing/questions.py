"""Steps of the chain for which somebody has to be asked, who may take a while: users' passwords, an authorization service."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from gateway.failures import Failure
from gateway.http.lines import FOLD
from gateway.http.permission import Permission
from gateway.http.request import Request
from gateway.routing.decision import Decision
from gateway.routing.peer import Peer
from gateway.routing.replies import RouteResponse
from gateway.routing.verdict import Refuse, Reply, Verdict


class Denial:
    """Why a request does not pass. `detail` is a sentence for a person; `lines`, each led by CRLF, are for the response.

    `response` is what the client gets instead of an error.
    """

    __slots__ = ("detail", "failure", "lines", "response")

    def __init__(
        self, failure: Failure, detail: str, lines: bytes = b"", response: RouteResponse | None = None
    ) -> None:
        self.failure = failure
        self.detail = detail
        self.lines = lines
        self.response = response

    def verdict(self, decision: Decision) -> Verdict:
        """What becomes of the request."""
        decision.response_fields += self.lines
        if self.response is not None:
            return Reply(decision, self.response)
        return Refuse(decision, self.failure, self.detail)


class Question:
    """Whether a request may pass. `by` says who is asked, `about` with which settings, for people.

    `recall` gives the answer that needs no waiting, or None; `ask` gets the others, for a client at an address. `names`
    (lower-case) are fields of the request that only the answer may set.
    """

    __slots__ = ("about", "ask", "by", "names", "recall")

    def __init__(
        self,
        by: str,
        about: str,
        names: frozenset[bytes],
        recall: Callable[[Request], Permission | Denial | None],
        ask: Callable[[Request, Peer, str], Awaitable[Permission | Denial]],
    ) -> None:
        self.by = by
        self.about = about
        self.names = names | {name.translate(FOLD) for name in names}
        self.recall = recall
        self.ask = ask


class NeedPermission(Verdict):
    """Ask the question, and route again: the request has the permission then. `give_up` is called if nobody waits any more."""

    __slots__ = ("give_up", "question")

    def __init__(self, decision: Decision, question: Question) -> None:
        super().__init__(decision)
        self.question = question
        self.give_up: Callable[[], object] | None = None

    def ended(self) -> None:
        """The request is over before there was an answer."""
        if self.give_up is not None:
            self.give_up()
