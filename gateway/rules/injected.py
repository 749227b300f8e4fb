"""The faults of all open lanes, ready to be injected."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from gateway.failures import Failure


class InjectedFault:
    """What a lane injects into calls to `services` (empty: every service) of requests with its tag, of a `share` of them.

    `delay` is in seconds, 0: none. `failure` is what the client gets, None: the request is sent on. `kind` says so in a word.
    """

    __slots__ = ("delay", "failure", "kind", "lane", "services", "share")

    def __init__(
        self, lane: str, services: frozenset[str], delay: float, failure: Failure | None, share: float
    ) -> None:
        self.lane = lane
        self.services = services
        self.delay = delay
        self.failure = failure
        self.share = share
        self.kind: str = "abort" if failure is not None else "delay"

    @property
    def why(self) -> str:
        """A sentence for the client that gets an error."""
        return f"lane {self.lane} injects this error"


class InjectedFaults:
    """By tag, since that is all that proxies after the first know of a lane."""

    __slots__ = ("_by_tag",)

    def __init__(self, by_tag: Mapping[str, Sequence[InjectedFault]]) -> None:
        self._by_tag: dict[str, tuple[InjectedFault, ...]] = {tag: tuple(faults) for tag, faults in by_tag.items()}

    def find(self, tag: str, service: str, draw: float) -> InjectedFault | None:
        """The fault of a marked request to a service, if it gets one. `draw` is a random number from 0 up to 1."""
        for fault in self._by_tag.get(tag, ()):
            if not fault.services or service in fault.services:
                return fault if draw < fault.share else None
        return None
