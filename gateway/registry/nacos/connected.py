"""A client's connection over gRPC as a server knows it, and what a server of the protocol has to say.

Pushes wait in an outbox by what they are about, and are composed when they are sent: a slow client gets the latest list once,
and never holds anybody else up.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Hashable, Mapping
from typing import Any, Final, Protocol, TypeVar
from uuid import uuid4

from gateway.registry.nacos.messages import JSON, NO_RIGHT

MAX_KEPT: Final = 10_000
"""Subscriptions, listened config values and instances of one connection."""

T = TypeVar("T")


class Refusal(Exception):
    """A request that is answered with an error: `code` is the `errorCode`."""

    def __init__(self, code: int, message: str) -> None:
        self.code = code
        super().__init__(message)


class Backend(Protocol):
    """What requests mean, and what pushes say."""

    async def respond(self, connection: Connected, request: str, body: JSON, headers: Mapping[str, str]) -> JSON:
        """The response to a request that the protocol knows, `messages.succeeded(…)`. Raises Refusal, and Rejected."""
        ...

    def compose(self, connection: Connected, request: str, key: Any) -> JSON | None:
        """What a push says by now; None: nothing any more."""
        ...

    def closed(self, connection: Connected) -> None:
        """A connection is gone."""
        ...


class Connected:
    """A client's connection. `subscriptions`, `listened` and `registered` are the backend's to keep."""

    def __init__(self, ip: str, close: Callable[[], None]) -> None:
        self.close = close
        self.id = f"{time.time_ns() // 1_000_000}_{uuid4().hex[:12]}"
        self.ip = ip
        self.is_set_up = False
        self.client = ""
        self.subscriptions: dict[Any, Any] = {}
        self.listened: dict[Any, str] = {}
        self.registered: set[Any] = set()
        self.heard_at = 0.0
        self.writing_since: float | None = None
        self._outbox: dict[tuple[str, Hashable], None] = {}
        self._has_news = asyncio.Event()
        self._pushed = 0

    def notify(self, request: str, key: Hashable = None) -> None:
        """Has something pushed, unless it waits to be already."""
        self._outbox[request, key] = None
        self._has_news.set()

    async def next_push(self) -> tuple[str, Any]:
        """The oldest of what waits."""
        while not self._outbox:
            self._has_news.clear()
            await self._has_news.wait()
        first = next(iter(self._outbox))
        del self._outbox[first]
        return first

    def next_id(self) -> str:
        """A request id that this connection has not had."""
        self._pushed += 1
        return f"{self._pushed}"


def keep(kept: dict[T, Any] | set[T], key: T, value: Any = None) -> None:
    """Keeps something of a connection. Raises Refusal beyond the limit."""
    if key not in kept and len(kept) >= MAX_KEPT:
        raise Refusal(NO_RIGHT, f"a connection has {MAX_KEPT} subscriptions or instances at most")
    if isinstance(kept, dict):
        kept[key] = value
    else:
        kept.add(key)
