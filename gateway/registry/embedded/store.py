"""The embedded registry's memory: instances with leases, and config values. Nacos' semantics, no network, no clock.

Times are seconds on any steady clock, passed in as `now`. An instance that misses its heartbeats is first shown as
unhealthy, then removed; how long that takes is the instance's own to say (`preserved.*` metadata, in milliseconds).
"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

HEARTBEAT: Final = 5.0
UNHEALTHY_AFTER: Final = 15.0
REMOVED_AFTER: Final = 30.0
"""Seconds, Nacos' defaults."""
FORGOTTEN_AFTER: Final = 60.0
"""Seconds without its instance after which an operator's change is forgotten (nacos.naming.clean.expired-metadata…)."""

MAX_SERVICES: Final = 10_000
MAX_INSTANCES: Final = 100_000
MAX_METADATA: Final = 1024
"""Characters of all keys and values, as in Nacos (nacos.naming.service.metadata.length)."""
MAX_CONFIG: Final = 10 * 1024 * 1024
"""Bytes of one config value, Nacos' limit."""
MAX_CONFIGS: Final = 10_000
MAX_ALL_CONFIGS: Final = 64 * 1024 * 1024
"""Bytes of all of them: they are kept in memory, and written to one file."""

DEFAULT_GROUP: Final = "DEFAULT_GROUP"
DEFAULT_CLUSTER: Final = "DEFAULT"
PUBLIC: Final = "public"

_NAME = re.compile(r"[0-9A-Za-z@._:\-]{1,512}")
_NAMESPACE = re.compile(r"[0-9A-Za-z._:\-]{1,128}")
_CLUSTER = re.compile(r"[0-9A-Za-z._\-]{1,64}")
_KIND = re.compile(r"[0-9A-Za-z-]{1,32}")
_HOST = re.compile(r"[0-9A-Za-z._:\-]{1,255}")


class Refused(Exception):
    """A call with a parameter that is missing or malformed; the text says which and what is accepted."""


class Conflict(Refused):
    """A config value that somebody else has changed in the meantime."""


@dataclass(frozen=True, slots=True, order=True)
class ServiceKey:
    """Where a service or a config value lives."""

    namespace: str
    group: str
    name: str

    @staticmethod
    def of(namespace: str, group: str, name: str) -> ServiceKey:
        """The key as the default spellings mean it: `""` is `public`, and a name may bring its group (`g@@n`)."""
        if "@@" in name:
            group, _, name = name.partition("@@")
        group, namespace = group or DEFAULT_GROUP, namespace or PUBLIC
        if _NAMESPACE.fullmatch(namespace) is None:
            raise Refused(f"namespace {namespace[:80]!r}: 1 to 128 letters, digits, '.', '_', '-', ':' are accepted")
        for what, text in (("serviceName", name), ("groupName", group)):
            if _NAME.fullmatch(text) is None:
                raise Refused(f"{what} {text[:80]!r}: 1 to 512 letters, digits, '.', '_', '-', ':' are accepted")
        return ServiceKey(namespace, group, name)


@dataclass(slots=True)
class Lease:
    """One registered instance. `renewed_at` is when it was last heard of."""

    host: str
    port: int
    cluster: str = DEFAULT_CLUSTER
    weight: float = 1.0
    enabled: bool = True
    healthy: bool = True
    metadata: dict[str, str] = field(default_factory=dict)
    ephemeral: bool = True
    owner: str = ""
    """The connection whose end is the instance's; empty: it lives by its heartbeats."""
    renewed_at: float = 0.0

    @property
    def heartbeat(self) -> float:
        """Seconds between its heartbeats."""
        return self._preserved("preserved.heart.beat.interval", HEARTBEAT)

    @property
    def unhealthy_after(self) -> float:
        """Seconds of silence after which it is unhealthy."""
        return self._preserved("preserved.heart.beat.timeout", UNHEALTHY_AFTER)

    @property
    def removed_after(self) -> float:
        """Seconds of silence after which it is gone."""
        return self._preserved("preserved.ip.delete.timeout", REMOVED_AFTER)

    def _preserved(self, key: str, default: float) -> float:
        text = self.metadata.get(key, "")
        return int(text) / 1000 if text.isascii() and text.isdigit() and 0 < int(text) < 86_400_000 else default


@dataclass(frozen=True, slots=True)
class Change:
    """What an operator has set of an instance. It is kept apart from what the instance says, and put over that.

    None, and keys that are not there, are as the instance says. `gone_at`: since when there is no such instance.
    """

    weight: float | None = None
    enabled: bool | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)
    gone_at: float | None = None

    def over(self, lease: Lease) -> Lease:
        """The instance with this change."""
        return replace(
            lease,
            weight=lease.weight if self.weight is None else self.weight,
            enabled=lease.enabled if self.enabled is None else self.enabled,
            metadata={**lease.metadata, **self.metadata},
        )

    def after(self, earlier: Change | None) -> Change:
        """This change on top of an earlier one, whose values it keeps if it has none."""
        if earlier is None:
            return self
        return Change(
            earlier.weight if self.weight is None else self.weight,
            earlier.enabled if self.enabled is None else self.enabled,
            {**earlier.metadata, **self.metadata},
        )


Place = tuple[str, int, str]
"""Where an instance is: host, port and cluster."""


@dataclass(frozen=True, slots=True)
class Config:
    """One config value. `md5` is what listeners compare, lower-case hex; `size` is in bytes."""

    content: str
    kind: str = "text"
    md5: str = field(init=False, repr=False)
    size: int = field(init=False, repr=False)

    def __post_init__(self) -> None:
        content = self.content.encode()
        object.__setattr__(self, "md5", hashlib.md5(content, usedforsecurity=False).hexdigest())
        object.__setattr__(self, "size", len(content))


# Many members: all that both protocols do with instances and config values, and that the façade does otherwise.
class Store:
    """All services and config values. `changed(key)` is called after a service's or a config value's change."""

    def __init__(self) -> None:
        self._services: dict[ServiceKey, dict[Place, Lease]] = {}
        self._changes: dict[tuple[ServiceKey, Place], Change] = {}
        self._configs: dict[ServiceKey, Config] = {}
        self._count = 0
        self._size = 0
        self.service_changed: Callable[[ServiceKey], None] = _tell_nobody
        self.config_changed: Callable[[ServiceKey], None] = _tell_nobody

    # --- instances

    def register(self, key: ServiceKey, lease: Lease, now: float) -> None:
        """Registers an instance, or replaces what was registered at its address. Raises Refused.

        What an operator has changed of it stays as the operator has set it.
        """
        _check(lease)
        leases = self._services.get(key)
        if leases is None:
            if len(self._services) >= MAX_SERVICES:
                raise Refused(f"the registry has reached its limit of {MAX_SERVICES} services")
            leases = self._services[key] = {}
        identity = (lease.host, lease.port, lease.cluster)
        if identity not in leases:
            if self._count >= MAX_INSTANCES:
                raise Refused(f"the registry has reached its limit of {MAX_INSTANCES} instances")
            self._count += 1
        change = self._changes.get((key, identity))
        lease = lease if change is None else change.over(lease)
        lease.renewed_at = now
        leases[identity] = lease
        self.service_changed(key)

    def instance(self, key: ServiceKey, host: str, port: int, cluster: str) -> Lease | None:
        """The instance at an address, None where it is not known."""
        return self._services.get(key, {}).get((host, port, cluster or DEFAULT_CLUSTER))

    def update(self, key: ServiceKey, place: Place, change: Change) -> None:
        """Takes an operator's change of an instance, on top of earlier ones. Raises Refused."""
        known = self.instance(key, *place)
        if known is None:
            raise Refused("instance not found")
        place = (known.host, known.port, known.cluster)
        whole = change.after(self._changes.get((key, place)))
        lease = whole.over(known)
        _check(lease)
        if len(self._changes) >= MAX_INSTANCES and (key, place) not in self._changes:
            raise Refused(
                f"the registry has reached its limit of {MAX_INSTANCES} instances that operators have changed"
            )
        self._changes[key, place] = whole
        self._services[key][place] = lease
        self.service_changed(key)

    def changes(self) -> Mapping[tuple[ServiceKey, Place], Change]:
        """What operators have changed, by instance."""
        return self._changes

    def renew(self, key: ServiceKey, host: str, port: int, cluster: str, now: float) -> Lease | None:
        """Takes a heartbeat; None where the instance is not known."""
        lease = self.instance(key, host, port, cluster)
        if lease is not None:
            lease.renewed_at = now
            if not lease.healthy:
                lease.healthy = True
                self.service_changed(key)
        return lease

    def deregister(self, key: ServiceKey, host: str, port: int, cluster: str) -> bool:
        """Takes an instance out; False where it is not known."""
        leases = self._services.get(key, {})
        if leases.pop((host, port, cluster or DEFAULT_CLUSTER), None) is None:
            return False
        self._count -= 1
        self._tidy(key)
        self.service_changed(key)
        return True

    def instances(self, key: ServiceKey, clusters: frozenset[str] = frozenset()) -> list[Lease]:
        """A service's instances by address, unhealthy ones included; of these clusters, or of all."""
        leases = self._services.get(key, {})
        return [leases[identity] for identity in sorted(leases) if not clusters or identity[2] in clusters]

    def services(self) -> list[ServiceKey]:
        """All that have an instance."""
        return list(self._services)

    def service_names(self, namespace: str, group: str) -> list[str]:
        """The names of a namespace's and group's services."""
        return sorted(
            key.name
            for key in self._services
            if key.namespace == (namespace or PUBLIC) and key.group == (group or DEFAULT_GROUP)
        )

    def expire(self, now: float) -> None:
        """Marks the silent unhealthy and removes the long silent, and what was changed of instances that are long gone."""
        for (service, place), change in list(self._changes.items()):
            if self.instance(service, *place) is not None:
                if change.gone_at is not None:
                    self._changes[service, place] = replace(change, gone_at=None)
            elif change.gone_at is None:
                self._changes[service, place] = replace(change, gone_at=now)
            elif now - change.gone_at >= FORGOTTEN_AFTER:
                del self._changes[service, place]
        for key, leases in list(self._services.items()):
            changed = False
            for identity, lease in list(leases.items()):
                silence = now - lease.renewed_at
                if not lease.ephemeral or lease.owner or silence < lease.unhealthy_after:
                    continue
                if silence >= lease.removed_after:
                    del leases[identity]
                    self._count -= 1
                    changed = True
                elif lease.healthy:
                    lease.healthy = False
                    changed = True
            if changed:
                self._tidy(key)
                self.service_changed(key)

    def _tidy(self, key: ServiceKey) -> None:
        if not self._services[key]:
            del self._services[key]

    # --- config

    def config(self, key: ServiceKey) -> Config | None:
        """A config value, or None."""
        return self._configs.get(key)

    def configs(self) -> Mapping[ServiceKey, Config]:
        """All of them."""
        return self._configs

    def publish(self, key: ServiceKey, content: str, kind: str = "text", expected: str | None = None) -> None:
        """Sets a config value; `expected` is the MD5 of the one that it may replace. Raises Refused, and Conflict."""
        known = self._configs.get(key)
        if expected is not None and (known is None or known.md5 != expected):
            raise Conflict("Cas publish fail, server md5 may have changed.")
        if not content:
            raise Refused("content: a value must not be empty")
        if _KIND.fullmatch(kind) is None:
            raise Refused(f"type {kind[:80]!r}: 1 to 32 letters, digits and '-' are accepted")
        config = Config(content, kind)
        size = self._size + config.size - (0 if known is None else known.size)
        if config.size > MAX_CONFIG:
            raise Refused(f"content: more than {MAX_CONFIG} bytes")
        if size > MAX_ALL_CONFIGS or (known is None and len(self._configs) >= MAX_CONFIGS):
            raise Refused(
                f"the registry has reached its limit of {MAX_CONFIGS} config values, or of {MAX_ALL_CONFIGS} bytes of them"
            )
        self._configs[key] = config
        self._size = size
        self.config_changed(key)

    def remove_config(self, key: ServiceKey) -> None:
        """Removes a config value; fine where it is not there."""
        config = self._configs.pop(key, None)
        if config is not None:
            self._size -= config.size
            self.config_changed(key)


def _tell_nobody(_: ServiceKey) -> None:
    """Nobody listens yet."""


def _check(lease: Lease) -> None:
    if _HOST.fullmatch(lease.host) is None:
        raise Refused(f"ip {lease.host[:80]!r}: an address or host name is accepted")
    if _CLUSTER.fullmatch(lease.cluster) is None:
        raise Refused(f"clusterName {lease.cluster[:80]!r}: 1 to 64 letters, digits, '.', '_', '-' are accepted")
    if not 0 < lease.port < 65536:
        raise Refused(f"port {lease.port}: 1 to 65535 is accepted")
    if not math.isfinite(lease.weight) or not 0 <= lease.weight <= 10_000:
        raise Refused(f"weight {lease.weight}: 0 to 10000 is accepted")
    size = sum(len(key) + len(value) for key, value in lease.metadata.items())
    if size > MAX_METADATA:
        raise Refused(f"metadata: {size} characters, {MAX_METADATA} are accepted")
