"""What the admin API shows: each handler renders one thing that the running program holds, and changes nothing."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass

from gateway.admin.rules import RulesApi
from gateway.http.head_reader import HeadReader
from gateway.http.request import Request


@dataclass(frozen=True, slots=True)
class Sources:
    """Where the admin API reads from. Every callable is quick and never waits."""

    not_ready: Callable[[], list[str]]
    """Why the program should get no traffic now; empty: it is ready."""
    status: Callable[[], Mapping[str, object]]
    services: Callable[[], list[dict[str, object]]]
    lanes: Callable[[], list[dict[str, object]]]
    metrics: Callable[[], bytes]
    """The exposition in Prometheus' text format."""
    refresh: Callable[[], Awaitable[None]] | None = None
    """Fetches what is exposed from other processes first; None where there are none."""
    names: Collection[str] = ()
    """Further names by which it may be called."""
    token: str = ""
    """What callers must have; empty: nobody is asked."""
    rules: RulesApi | None = None
    """What changes rules; None where there are none to change."""
    reader: HeadReader | None = None
    """Reads requests to explain, as the listener would."""
    explain: Callable[[Request, str, bytes], dict[str, object]] | None = None
    """Of a request, who asks, and its body. None if there is nothing to explain (a sidecar has no lanes of its own)."""
