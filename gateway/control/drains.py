"""Instances that people have taken out of traffic: no new requests go there from this program until they are brought back.

A registry's lists pass through here on their way to what routes, and an instance that is drained is disabled in them. So workers
need to know nothing of it, and requests in flight are finished. It holds for the address, whoever restarts there, and only for
this program: for everybody, disable the instance in its registry.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final

from gateway.errors import GatewayError
from gateway.files import MAX_DATA, PRIVATE, read_file, write_file
from gateway.instance import Instance
from gateway.printable import printable
from gateway.registry.several import Registries
from gateway.state import DRAINS
from gateway.tags import BASE

_log = logging.getLogger("gateway.control")

MOST: Final = 1000
"""Instances that can be drained at a time."""


class NoSuchInstance(GatewayError):
    """The service has no instance at the address, or it is not drained."""


class LastInstance(GatewayError):
    """Without this instance, or with so many drained, requests would fail."""


@dataclass(frozen=True, slots=True)
class Drain:
    """An instance that is drained: who did it, why, and when, in seconds since the epoch."""

    service: str
    address: str
    author: str
    reason: str
    at: float


class Drains:
    """What is drained. `on_change` gets the instances of a service as they are to be routed to."""

    def __init__(self, on_change: Callable[[str, tuple[Instance, ...]], None]) -> None:
        self._on_change = on_change
        self._drained: dict[tuple[str, str], Drain] = {}
        self._registries: Registries | None = None
        self._file: Path | None = None

    def open(self, registries: Registries, state: str | None) -> None:
        """Begins with what was drained when the program ended, if there is a state directory."""
        self._registries = registries
        if state is None:
            return
        self._file = Path(state) / DRAINS / "instances.json"
        try:
            self.know(json.loads(read_file(self._file, MAX_DATA)))
        except FileNotFoundError:
            pass
        except (OSError, ValueError, TypeError, RecursionError) as error:
            _log.warning(
                "what was drained according to %s is not known: %s: %s", self._file, type(error).__name__, error
            )

    def service_changed(self, service: str, instances: tuple[Instance, ...]) -> None:
        """Takes what registries say of a service."""
        if any(name == service for name, _ in self._drained):
            instances = tuple(
                replace(item, enabled=False) if (service, item.address) in self._drained else item for item in instances
            )
        self._on_change(service, instances)

    def drain(self, drain: Drain) -> None:
        """Takes an instance out of traffic. Raises NoSuchInstance, or LastInstance for the baseline's last usable one."""
        instances = self._instances(drain.service)
        instance = next((item for item in instances if item.address == drain.address), None)
        if instance is None:
            raise NoSuchInstance(f"service {drain.service} has no instance {drain.address}")
        if len(self._drained) >= MOST:
            raise LastInstance(f"{MOST} instances are drained already")
        others = (item for item in instances if item.tag == BASE and item.is_usable and item.address != drain.address)
        is_last = not any((drain.service, item.address) not in self._drained for item in others)
        if instance.tag == BASE and is_last:
            raise LastInstance(f"{drain.address} is the last usable instance of the baseline of {drain.service}")
        self._drained[drain.service, drain.address] = drain
        self._changed(drain.service)
        _log.warning(
            "service %s: %s is drained by %s: %s",
            *map(
                printable, (drain.service, drain.address, drain.author or "somebody", drain.reason or "no reason given")
            ),
        )

    def restore(self, service: str, address: str, author: str) -> None:
        """Brings an instance back. Raises NoSuchInstance if it is not drained."""
        if self._drained.pop((service, address), None) is None:
            raise NoSuchInstance(f"instance {address} of service {service} is not drained")
        self._changed(service)
        _log.warning("service %s: %s is brought back by %s", *map(printable, (service, address, author or "somebody")))

    def describe(self) -> list[dict[str, object]]:
        """Everything that is drained, as plain values."""
        return [asdict(drain) for drain in self._drained.values()]

    def note(self, service: str, pools: list[dict[str, Any]]) -> None:
        """Says of each instance in described pools whether it is drained."""
        for pool in pools:
            for item in pool["instances"]:
                drain = self._drained.get((service, item["address"]))
                known = None if drain is None else {"author": drain.author, "reason": drain.reason, "at": drain.at}
                item["drained"] = known

    def counts(self) -> Mapping[str, int]:
        """How many instances of each service are drained; those of a service without any are left out."""
        services = [service for service, _ in self._drained]
        return {service: services.count(service) for service in services}

    def know(self, described: Any) -> None:
        """Takes what `describe` gave, in another process. Raises TypeError for what it cannot have given."""
        known = [Drain(**item) for item in described]
        before, self._drained = self._drained, {(drain.service, drain.address): drain for drain in known}
        for service in {service for service, _ in {*before, *self._drained}}:
            if instances := self._instances(service):
                self.service_changed(service, instances)

    def _instances(self, service: str) -> tuple[Instance, ...]:
        return () if self._registries is None else self._registries.instances(service)

    def _changed(self, service: str) -> None:
        self.service_changed(service, self._instances(service))
        if self._file is not None:
            try:
                write_file(self._file, json.dumps(self.describe()), PRIVATE)
            except OSError as error:
                _log.warning("what is drained cannot be kept for a restart: %s", error)
