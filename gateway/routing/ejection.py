"""Passive ejection: an instance that fails again and again gets no traffic for a while, longer each time.

Registries learn late, or never, that an instance cannot be reached from here: a crash is listed for as long as its last
heartbeat counts. This is per process, and knows only what this process has seen (compare Envoy's outlier detection,
https://www.envoyproxy.io/docs/envoy/latest/intro/arch_overview/upstream/outlier).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from gateway.routing.instance import Instance

_log = logging.getLogger("gateway")

CONNECT: Final = "connect"
"""It does not accept connections."""
ERRORS: Final = "errors"
"""It answers with 5xx, not in time, or with nothing that is an answer."""
CHECK: Final = "check"
"""It does not pass its active checks."""


class Timer(Protocol):
    """What `call_later` of an event loop returns."""

    def cancel(self) -> None:
        """Takes the call back."""
        ...


@dataclass(frozen=True, slots=True)
class EjectionTerms:
    """How many failures in a row eject, for how many seconds at first and at most, and which share of a pool at most."""

    connect_failures: int = 3
    errors: int = 5
    time: float = 10.0
    longest: float = 300.0
    share: float = 0.5


class _Record:
    """What is held against one instance."""

    __slots__ = ("connect_failures", "errors", "fails_check", "out_since", "seconds", "sound_at", "timer", "times")

    def __init__(self) -> None:
        self.connect_failures = 0
        self.errors = 0
        self.times = 0
        self.seconds = 0.0
        self.sound_at = 0.0
        """When its past is forgotten, if it stays in until then."""
        self.out_since: float | None = None
        self.fails_check = False
        self.timer: Timer | None = None


class Ejector:
    """Takes note of failures and successes.

    `on_change(service)` is called when who is out has changed, `on_eject(service, instance, cause)` when one goes out.
    `records` is empty while nothing has failed: look there first, on the hot path. `clock` gives seconds on a steady clock,
    `call_later` calls back after seconds.
    """

    def __init__(
        self,
        terms: EjectionTerms,
        clock: Callable[[], float],
        call_later: Callable[[float, Callable[[], None]], Timer],
        on_change: Callable[[str], None],
        on_eject: Callable[[str, Instance, str], None],
    ) -> None:
        self.terms = terms
        self._on_change = on_change
        self._on_eject = on_eject
        self.records: dict[tuple[str, str], _Record] = {}
        self._clock = clock
        self._call_later = call_later

    def failed(self, service: str, instance: Instance, cause: str) -> None:
        """Notes a connection that was not accepted, or an answer that is none."""
        if not self.terms.share:
            return
        record = self._record(service, instance)
        if record.out_since is not None:
            return  # it was under way before
        if cause == CONNECT:
            record.connect_failures += 1
        else:
            record.errors += 1
        if record.connect_failures >= self.terms.connect_failures or record.errors >= self.terms.errors:
            self._eject(record, service, instance, cause)

    def succeeded(self, service: str, instance: Instance) -> None:
        """Notes a fine answer: the row of failures is broken."""
        record = self.records.get((service, instance.address))
        if record is not None:
            record.connect_failures = record.errors = 0
            if record.out_since is None and not record.fails_check and self._clock() >= record.sound_at:
                del self.records[service, instance.address]

    def checked(self, service: str, instance: Instance, passes: bool) -> None:
        """Takes what active checks have found: one that fails them is out until it passes again."""
        if passes and (service, instance.address) not in self.records:
            return
        record = self._record(service, instance)
        if record.fails_check is not passes:
            return
        record.fails_check = not passes
        if passes:
            self._release(record, service, instance)
            return
        if record.out_since is None:
            record.out_since = self._clock()
        self._tell(service, instance, CHECK, "until it passes again")

    def ejected(self, service: str, instances: Sequence[Instance]) -> frozenset[str]:
        """The addresses that are out: per tag no more than the share of the usable ones, who went first goes first."""
        if not self.records:
            return frozenset()
        pools: dict[str, list[tuple[float, str]]] = {}
        sizes: dict[str, int] = {}
        for instance in instances:
            if not instance.is_usable:
                continue
            sizes[instance.tag] = sizes.get(instance.tag, 0) + 1
            record = self.records.get((service, instance.address))
            if record is not None and record.out_since is not None:
                pools.setdefault(instance.tag, []).append((record.out_since, instance.address))
        return frozenset(
            address
            for tag, out in pools.items()
            for _, address in sorted(out)[: int(sizes[tag] * self.terms.share + 1e-9)]
        )

    def retain(self, service: str, instances: Sequence[Instance]) -> None:
        """Forgets those that the service has no more."""
        if self.records:
            there = {instance.address for instance in instances}
            for key in [key for key in self.records if key[0] == service and key[1] not in there]:
                timer = self.records.pop(key).timer
                if timer is not None:
                    timer.cancel()

    def close(self) -> None:
        """Forgets everything."""
        for service in {key[0] for key in self.records}:
            self.retain(service, ())

    def _record(self, service: str, instance: Instance) -> _Record:
        key = (service, instance.address)
        record = self.records.get(key)
        if record is None:
            record = self.records[key] = _Record()
        return record

    def _eject(self, record: _Record, service: str, instance: Instance, cause: str) -> None:
        now = self._clock()
        record.times = 1 if now >= record.sound_at else record.times + 1
        record.seconds = min(self.terms.longest, self.terms.time * 2 ** min(record.times - 1, 16))
        record.out_since = now
        record.connect_failures = record.errors = 0
        record.timer = self._call_later(record.seconds, lambda: self._release(record, service, instance))
        self._tell(service, instance, cause, f"for {record.seconds:g} s")

    def _release(self, record: _Record, service: str, instance: Instance) -> None:
        if record.timer is not None:
            record.timer.cancel()
            record.timer = None
        if record.fails_check or record.out_since is None:
            return  # its checks decide
        record.out_since = None
        # It is on probation for as long as it was out.
        record.sound_at = self._clock() + record.seconds
        _log.info("service %s: %s gets traffic again", service, instance.address)
        self._on_change(service)

    def _tell(self, service: str, instance: Instance, cause: str, how_long: str) -> None:
        _log.warning(
            "service %s: %s (tag %s) is ejected %s: %s",
            service, instance.address, instance.tag, how_long, _EXPLAINED[cause],
        )  # fmt: skip
        self._on_eject(service, instance, cause)
        self._on_change(service)


_EXPLAINED: Final = {
    CONNECT: "it does not accept connections",
    ERRORS: "it answers with errors only",
    CHECK: "it does not pass its checks",
}
