"""A net under the router: whatever it raises, the request gets an answer.

A router never raises. One that does has a bug, and without this the client's connection would just close: an exception in a
protocol's callback ends it without a word.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from gateway.http.request import Request
from gateway.routing.decision import Decision
from gateway.routing.plan import Peer, Plan

if TYPE_CHECKING:
    from gateway.proxy.context import Router

_log: Final = logging.getLogger("gateway")

INTERNAL_ERROR: Final = "internal_error"


class Guard:
    """A router with a net."""

    __slots__ = ("_router", "_seen")

    def __init__(self, router: Router) -> None:
        self._router = router
        self._seen: set[str] = set()

    def is_trusted(self, ip: str) -> bool:
        """Whether a client at this address may say who it speaks for."""
        return self._router.is_trusted(ip)

    def route(self, request: Request, peer: Peer, now: float) -> Plan:
        """The router's plan; where it raises, one to answer 500 and to close the connection."""
        try:
            return self._router.route(request, peer, now)
        except Exception as error:  # noqa: BLE001 - a bug, by definition: nobody knows which
            self._tell(error)
            request.keep_alive = False
            decision = Decision(0)
            decision.refuse(INTERNAL_ERROR, "the gateway failed to decide where the request goes: see its log")
            return Plan(decision)

    def _tell(self, error: Exception) -> None:
        """Logs an error the first time that it comes from its place: whoever found the way to it may come again."""
        trace = error.__traceback__
        while trace is not None and trace.tb_next is not None:
            trace = trace.tb_next
        place = type(error).__name__ if trace is None else f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}"
        if place not in self._seen:
            self._seen.add(place)
            _log.error("a request could not be routed, and was answered 500; told once for this place", exc_info=error)
