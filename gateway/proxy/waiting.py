"""Calls of an application that are without a response, found when one of its own responses is an error."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from gateway.http.request import Request
from gateway.proxy.client import Clients
from gateway.proxy.record import Record
from gateway.routing.decision import Decision
from gateway.routing.failedcalls import GIVEN_UP


class WaitingCalls:
    """Of one listener. `owner_of` says whose call it is, empty if nobody's: see `routing.failedcalls`."""

    def __init__(self, clients: Clients, owner_of: Callable[[Request, Decision], bytes]) -> None:
        self._clients = clients
        self._owner_of = owner_of

    def find(self, now: float) -> dict[bytes, list[Callable[[], bool]]]:
        """By owner, those that have waited long enough for somebody to give up; each tells whether it waits still."""
        found: dict[bytes, list[Callable[[], bool]]] = {}
        for connection in self._clients.connections:
            for record in connection.records():
                if _waits(record) and now - record.started >= GIVEN_UP:
                    owner = self._owner_of(record.request, record.decision)
                    if owner:
                        found.setdefault(owner, []).append(partial(_waits, record))
        return found


def _waits(record: Record) -> bool:
    return not record.upstream_status and not record.status
