"""Who gets which connection to one instance, and who may open one: decided at once, acted on by the caller.

Nothing is decided later, by whichever task wakes up first. (Compare httpcore's `_assign_requests_to_connections`.)
"""

from __future__ import annotations

import asyncio

from gateway.proxy.upstream import Upstream

Waiter = asyncio.Future[Upstream | None]
"""Gets a connection, or None: leave to open one."""


class Verdict:
    """What a caller that needs a connection is to do.

    `upstream`: use it. `may_open`: open one, which is counted as open already. Neither: wait. `to_close`: close it first.
    """

    __slots__ = ("may_open", "to_close", "upstream")

    def __init__(self, upstream: Upstream | None, may_open: bool, to_close: Upstream | None) -> None:
        self.upstream = upstream
        self.may_open = may_open
        self.to_close = to_close


class Grant:
    """What somebody who waits gets: a connection, or (None) leave to open one, which is counted as open already."""

    __slots__ = ("upstream", "waiter")

    def __init__(self, waiter: Waiter, upstream: Upstream | None) -> None:
        self.waiter = waiter
        self.upstream = upstream


class Pool:
    """The connections to one address, at most `limit`. The last one put back is taken first, so that surplus ones age out.

    `idle` are those that wait for work, `open` counts all that exist, those being made included, `waiting` are those who wait,
    in the order in which they came. Somebody waits only while no connection is idle and as many as allowed are open.
    """

    __slots__ = ("_limit", "idle", "open", "waiting")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self.idle: list[Upstream] = []
        self.open: int = 0
        self.waiting: dict[Waiter, None] = {}

    @property
    def has_place(self) -> bool:
        """Whether one more may be opened."""
        return self.open < self._limit

    def ask(self, is_new: bool) -> Verdict:
        """What somebody is to do who wants a connection. `is_new`: one that was never idle."""
        idle = self.idle
        if idle and not is_new:
            return Verdict(idle.pop(), False, None)
        # If there is no other, the place of an idle one is wanted.
        to_close = idle.pop(0) if idle and self.open >= self._limit else None
        may_open = self.open < self._limit
        if may_open:
            self.open += 1
        return Verdict(None, may_open, to_close)

    def put(self, upstream: Upstream | None) -> None:
        """Takes back a connection that is idle again, or (None) the place of one that is not open any more."""
        if upstream is None:
            self.open -= 1
        else:
            self.idle.append(upstream)

    def assign(self) -> list[Grant]:
        """Deals out what there is to those who wait, in the order in which they came."""
        grants: list[Grant] = []
        while self.waiting and (self.idle or self.open < self._limit):
            waiter = next(iter(self.waiting))
            del self.waiting[waiter]
            if self.idle:
                grants.append(Grant(waiter, self.idle.pop()))
            else:
                self.open += 1
                grants.append(Grant(waiter, None))
        return grants

    def aged(self, before: float) -> list[Upstream]:
        """Takes out the connections that have been idle since before this time: they are to be closed."""
        count = 0
        for upstream in self.idle:
            if upstream.idle_since > before:
                break
            count += 1
        old = self.idle[:count]
        del self.idle[:count]
        return old
