"""HTTP to registries: several addresses of one server, and what goes wrong in our words."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from gateway.errors import RegistryError
from gateway.tls.contexts import UpstreamTLS

if TYPE_CHECKING:
    from gateway.registry.exchange import RegistrySession

_log = logging.getLogger("gateway.registry")

FAILBACK: Final = 30.0
"""Seconds after which the first address is tried again when another one is used."""
_NODE_TROUBLE: Final = frozenset({500, 502, 503, 504})


@dataclass(frozen=True, slots=True)
class Timeout:
    """Seconds that a whole call may take, and connecting."""

    total: float
    connect: float = 1.0


TIMEOUT: Final = Timeout(3.0)


@dataclass(frozen=True, slots=True)
class RegistryResponse:
    """Status, text and headers (names in lower case), and the address of the node that gave it."""

    status: int
    text: str
    headers: Mapping[str, str]
    node: str = ""


class Nodes:
    """The addresses of one registry: the first that responds is used until it does not, and the first of all preferred."""

    def __init__(self, addresses: Sequence[str], clock: Callable[[], float]) -> None:
        self.addresses = tuple(addresses)
        self._clock = clock
        self._current = 0
        self._left_at = 0.0

    @property
    def current(self) -> str:
        """The address in use."""
        return self.addresses[self._current]

    def order(self) -> list[int]:
        """Which to try, in order."""
        if self._current and self._clock() - self._left_at >= FAILBACK:
            self._left_at = self._clock()
            return [0, self._current, *(index for index in self.others() if index)]
        return [self._current, *self.others()]

    def others(self) -> list[int]:
        """Those that are not in use, the next one first."""
        count = len(self.addresses)
        return [(self._current + step) % count for step in range(1, count)]

    def prefer(self, better: str, worse: str) -> None:
        """Uses one node from now on instead of another, whose responses are doubtful, if that one is still in use."""
        if self.current == worse:
            self.responded(self.addresses.index(better))

    def responded(self, index: int) -> None:
        """Keeps to a node."""
        if index != self._current:
            _log.warning("registry %s is used instead of %s", self.addresses[index], self.current)
            self._current = index
            self._left_at = self._clock()


class RegistryHttp:
    """Requests to the nodes of one registry over kept-alive connections.

    `tls` is for `https`. Connections are not limited here: every blocking query holds one.
    """

    def __init__(
        self,
        addresses: Sequence[str],
        *,
        scheme: str = "http",
        tls: UpstreamTLS | None = None,
        clock: Callable[[], float] | None = None,
    ) -> None:
        self._scheme = scheme
        self._tls = tls
        self._clock = clock
        self._addresses = addresses
        self._nodes: Nodes | None = None
        self._session: RegistrySession | None = None

    @property
    def nodes(self) -> Nodes:
        """The nodes, made when there is a loop."""
        if self._nodes is None:
            self._nodes = Nodes(self._addresses, self._clock or asyncio.get_running_loop().time)
        return self._nodes

    def trust(self, tls: UpstreamTLS | None) -> None:
        """Makes new connections on these terms."""
        self._tls = tls

    async def call(
        self,
        method: str,
        path: str,
        *,
        timeout: Timeout = TIMEOUT,
        elsewhere: bool = False,
        **options: Any,
    ) -> RegistryResponse:
        """Queries the node in use, and the others if it has a problem. Raises RegistryError.

        `elsewhere`: only the others are queried, and none of them becomes the node in use; there have to be some.
        """
        nodes = self.nodes
        order = nodes.others() if elsewhere else nodes.order()
        trouble: RegistryError | RegistryResponse | None = None
        for index in order:
            try:
                response = await self._exchange(nodes.addresses[index], method, path, timeout, options)
            except RegistryError as error:
                trouble = error if trouble is None or isinstance(trouble, RegistryError) else trouble
                continue
            if response.status in _NODE_TROUBLE and len(order) > 1:
                trouble = response
                continue
            if not elsewhere:
                nodes.responded(index)
            return response
        if isinstance(trouble, RegistryResponse):
            return trouble
        assert trouble is not None
        raise trouble

    async def _exchange(
        self, address: str, method: str, path: str, timeout: Timeout, options: dict[str, Any]
    ) -> RegistryResponse:
        if self._session is None:
            from gateway.registry.exchange import RegistrySession

            self._session = RegistrySession()
        base = f"{self._scheme}://{address}"
        return await self._session.exchange(base, method, path, timeout=timeout, tls=self._tls, **options)

    async def close(self) -> None:
        """Closes the connections."""
        if self._session is not None:
            await self._session.close()


def path_segment(text: str) -> str:
    """A text as one segment of a path.

    Raises RegistryError for one that no path can have: dots alone are a step up, escaped or not (RFC 3986 §5.2.4), and would
    lead to another call than the one that is meant.
    """
    if text in ("", ".", ".."):
        raise RegistryError("bad_name", f"{text!r} cannot be part of a path")
    return quote(text, safe="")


def refusal(response: RegistryResponse, subject: str = "the registry") -> RegistryError:
    """The error for a response with a status of failure."""
    reason = {401: "auth", 403: "auth", 429: "warming", 503: "warming"}.get(response.status, "bad_response")
    return RegistryError(reason, f"{subject} responded {response.status}: {response.text[:200].strip()}")
