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

from gateway import failures
from gateway.instance import Instance
from gateway.tags import BASE

_log = logging.getLogger("gateway")

CONNECT: Final = "connect"
"""It does not accept connections."""
CONNECT_TIMEOUT: Final = "connect_timeout"
"""Connections to it are not accepted in time: it is gone, or has too much to do."""
UNAVAILABLE: Final = "unavailable"
"""Its sidecar says that its application cannot be reached: known at once, and over as soon as it is up again."""
ERRORS: Final = "errors"
"""It responds with 5xx, not in time, or with nothing that is a response."""
CHECK: Final = "check"
"""It does not pass its active checks."""
MISDIRECTED: Final[str] = failures.MISDIRECTED.code
"""It is not the instance that the registry lists at its address."""


_GONE: Final = frozenset({CONNECT, UNAVAILABLE})
"""Causes for which nobody is relieved if an instance stays in: it takes no requests anyway."""
SOON: Final = 1.0
"""Seconds after which an instance whose application is down is tried again: to try its sidecar costs nearly nothing."""


class Timer(Protocol):
    """What `call_later` of an event loop returns."""

    def cancel(self) -> None:
        """Takes the call back."""
        ...


@dataclass(frozen=True, slots=True)
class EjectionTerms:
    """How many failures in a row eject, for how many seconds at first and at most, and which share of a baseline at most.

    The share is one of those that take requests at all: who accepts no connections, or whose application is down, is ejected
    besides, unless that would be everybody. A tagged pool has the baseline behind it and may be ejected whole; the baseline has
    nobody. A share of 0: nobody is ejected.
    """

    connect_failures: int = 3
    errors: int = 5
    time: float = 10.0
    longest: float = 300.0
    share: float = 0.5


class _Record:
    """What is held against one instance. `identity` is who it was: another instance at its address starts over."""

    __slots__ = (
        "cause",
        "connect_failures",
        "errors",
        "fails_check",
        "identity",
        "is_listed_down",
        "is_other",
        "out_since",
        "seconds",
        "sound_at",
        "timer",
        "times",
        "to_ask",
    )

    def __init__(self, identity: bytes) -> None:
        self.identity = identity
        self.connect_failures = 0
        self.errors = 0
        self.times = 0
        self.seconds = 0.0
        self.sound_at = 0.0
        """When its past is forgotten, if it stays in until then."""
        self.out_since: float | None = None
        self.cause = ""
        self.fails_check = False
        self.is_other = False
        """It refuses what is meant for it: it is not who the registry says."""
        self.is_listed_down = False
        """The registry calls it unusable, and will say when it is usable again."""
        self.timer: Timer | None = None
        self.to_ask: Timer | None = None
        """Until then it is not tried again."""

    def cancel(self) -> None:
        """Forgets what was to happen."""
        for timer in (self.timer, self.to_ask):
            if timer is not None:
                timer.cancel()


class Ejector:
    """Takes note of failures and successes.

    `on_change(service)` is called when who is out may have changed: `ejected` and `misdirected` say who it is.
    `on_eject(service, instance, cause)` is called when one goes out. `records` is empty while nothing has failed: look there
    first, on the hot path. `clock` gives seconds on a steady clock, `call_later` calls back after seconds.
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
        self._out: dict[str, frozenset[str]] = {}  # by service: the addresses that were last said to be out
        self._clock = clock
        self._call_later = call_later

    @property
    def is_off(self) -> bool:
        """Whether nobody is ejected, and nothing remembered."""
        return not self.terms.share

    def is_out(self, service: str, instance: Instance) -> bool:
        """Whether an instance is out, or stays in only because too many are."""
        record = self.records.get((service, instance.address))
        return record is not None and record.out_since is not None and record.identity == instance.identity

    def failed(self, service: str, instance: Instance, cause: str) -> None:
        """Notes a connection that was not accepted, or a response that is none."""
        if self.is_off:
            return
        record = self._record(service, instance)
        if record.out_since is not None:
            return  # it was under way before
        if cause == UNAVAILABLE:
            self._eject(record, service, instance, cause)
            return
        if cause in (CONNECT, CONNECT_TIMEOUT):
            record.connect_failures += 1
        else:
            record.errors += 1
        if record.connect_failures >= self.terms.connect_failures or record.errors >= self.terms.errors:
            self._eject(record, service, instance, cause)

    def succeeded(self, service: str, instance: Instance) -> None:
        """Notes a fine response: the row of failures is broken."""
        record = self.records.get((service, instance.address))
        if record is not None:
            record.connect_failures = record.errors = 0
            if self._is_clear(record) and self._clock() >= record.sound_at:
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
        record.cause = CHECK
        self._on_change(service)

    def refused(self, service: str, instance: Instance) -> None:
        """Notes that an instance is not who the registry says: no traffic for a while, or until the registry says otherwise."""
        record = self._record(service, instance)
        if record.is_other:
            return
        record.is_other = True
        record.to_ask = self._call_later(self.terms.time, lambda: self._ask_again(record, service))
        _log.warning(
            "service %s: %s is not the instance with tag %s that the registry lists: it refuses requests for that instance",
            service, instance.address, instance.tag,
        )  # fmt: skip
        self._on_eject(service, instance, MISDIRECTED)
        self._on_change(service)

    def ejected(self, service: str, instances: Sequence[Instance]) -> frozenset[str]:
        """The addresses that are out; of the baseline no more than a share (see `EjectionTerms`), who went first goes first.

        Says of those that are out for the first time why.
        """
        before = self._out.get(service, frozenset())
        if not self.records and not before:
            return before
        out = self._now_out(service, instances)
        if out:
            self._out[service] = out
        else:
            self._out.pop(service, None)
        for instance in instances:
            if instance.address in out and instance.address not in before:
                self._tell(service, instance)
        return out

    def misdirected(self, service: str) -> frozenset[str]:
        """The addresses of those that are not who the registry says."""
        if not self.records:
            return frozenset()
        return frozenset(
            address for (name, address), record in self.records.items() if name == service and record.is_other
        )

    def retain(self, service: str, instances: Sequence[Instance]) -> None:
        """Forgets those that the service has no more, and those whose address is another instance's now.

        Also those that the registry had called unusable and now calls usable: they have come back, as those have that are
        listed again.
        """
        if self.records:
            there = {instance.address: instance for instance in instances}
            for key in [key for key in self.records if key[0] == service]:
                record, instance = self.records[key], there.get(key[1])
                if instance is None or instance.identity != record.identity:
                    self.records.pop(key).cancel()
                elif not instance.is_usable:
                    record.is_listed_down = True
                elif record.is_listed_down:
                    record.is_listed_down = False
                    if not record.fails_check:
                        self.records.pop(key).cancel()

    def close(self) -> None:
        """Forgets everything."""
        for service in {key[0] for key in self.records}:
            self.retain(service, ())

    def _now_out(self, service: str, instances: Sequence[Instance]) -> frozenset[str]:
        if self.is_off:
            return frozenset()
        out: list[str] = []
        gone: list[tuple[float, str]] = []
        sick: list[tuple[float, str]] = []
        size = 0
        for instance in instances:
            if not instance.is_usable:
                continue
            is_base = instance.tag == BASE
            size += is_base
            record = self.records.get((service, instance.address))
            if record is not None and record.out_since is not None:
                if is_base:
                    (gone if record.cause in _GONE else sick).append((record.out_since, instance.address))
                else:
                    out.append(instance.address)
        if len(gone) == size:
            gone, sick = [], gone  # better tried than refused: the network may be what is broken
        most = int((size - len(gone)) * self.terms.share + 1e-9)
        return frozenset([*out, *(address for _, address in (*gone, *sorted(sick)[:most]))])

    def _record(self, service: str, instance: Instance) -> _Record:
        key = (service, instance.address)
        record = self.records.get(key)
        if record is None or record.identity != instance.identity:
            if record is not None:
                record.cancel()
            record = self.records[key] = _Record(instance.identity)
        return record

    def _is_clear(self, record: _Record) -> bool:
        return record.out_since is None and not record.fails_check and not record.is_other

    def _eject(self, record: _Record, service: str, instance: Instance, cause: str) -> None:
        now = self._clock()
        if cause == UNAVAILABLE:
            record.seconds = min(SOON, self.terms.time)
        else:
            record.times = 1 if now >= record.sound_at else record.times + 1
            record.seconds = min(self.terms.longest, self.terms.time * 2 ** min(record.times - 1, 16))
        record.out_since = now
        record.cause = cause
        record.connect_failures = record.errors = 0
        record.timer = self._call_later(record.seconds, lambda: self._release(record, service, instance))
        self._on_change(service)
        if instance.address not in self._out.get(service, ()):
            _log.warning(
                "service %s: %s stays in traffic although %s: no more than %g of the baseline may be ejected",
                service, instance.address, _EXPLAINED[cause], self.terms.share,
            )  # fmt: skip

    def _release(self, record: _Record, service: str, instance: Instance) -> None:
        if record.timer is not None:
            record.timer.cancel()
            record.timer = None
        if record.fails_check or record.out_since is None:
            return  # its checks decide
        record.out_since = None
        # It is on probation for as long as it was out.
        record.sound_at = self._clock() + record.seconds
        if instance.address in self._out.get(service, ()):
            _log.info("service %s: %s gets traffic again", service, instance.address)
        self._on_change(service)

    def _ask_again(self, record: _Record, service: str) -> None:
        record.is_other = False
        record.to_ask = None
        self._on_change(service)

    def _tell(self, service: str, instance: Instance) -> None:
        record = self.records[service, instance.address]
        how_long = "until it passes again" if record.cause == CHECK else f"for {record.seconds:g} s"
        _log.warning(
            "service %s: %s (tag %s) is ejected %s: %s",
            service, instance.address, instance.tag, how_long, _EXPLAINED[record.cause],
        )  # fmt: skip
        self._on_eject(service, instance, record.cause)


_EXPLAINED: Final = {
    CONNECT: "it does not accept connections",
    CONNECT_TIMEOUT: "it does not accept connections in time",
    UNAVAILABLE: "its application does not accept connections",
    ERRORS: "it returns only errors",
    CHECK: "it fails its checks",
}
