"""The seam between the proxy and what decides for it. A native class and no Protocol: it is called for every request."""

from __future__ import annotations

from typing import Any, Final

from gateway.http.request import Request
from gateway.routing.decision import Decision
from gateway.routing.peer import Peer
from gateway.routing.verdict import Verdict

UNREAD: Final = object()
"""The content of a body that was not looked at."""


class Router:
    """Decides where a request goes: synchronously, and without ever raising."""

    __slots__ = ()

    def is_trusted(self, ip: str) -> bool:
        """Whether a client at this address may say who it speaks for."""
        raise NotImplementedError

    def route(self, request: Request, peer: Peer, now: float, content: Any = UNREAD) -> Verdict:
        """The verdict for one request. `now` is seconds on the loop's clock.

        `content` is what the body says, None if it cannot be read: after a verdict that the body is needed.
        """
        raise NotImplementedError

    def note_failure(self, request: Request, decision: Decision, at: float) -> None:
        """Takes note, if it is of use, that a request has failed. `at` is `perf_counter`'s seconds."""
