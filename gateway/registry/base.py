"""The seam between one registry's protocol and everything else.

An adapter only queries, parses and yields complete instance lists, or raises `RegistryError`. It never retries, caches,
protects or logs: `keeper.Keeper` does that once for every registry.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Final, Generic, Protocol, TypeVar

from gateway.instance import Instance
from gateway.settings import Address, AnyRegistrySettings
from gateway.tags import BASE
from gateway.validation import Finding
from gateway.yaml.reading import Location

if TYPE_CHECKING:
    from gateway.registry.embedded.server import EmbeddedRegistry
    from gateway.tls.contexts import UpstreamTLS

S = TypeVar("S", bound=AnyRegistrySettings)

HEARTBEAT: Final = 5.0
"""Seconds between heartbeats, as Nacos' clients have it; an instance is unhealthy after three missed ones."""


MOST_LEFT_OUT: Final = 20
"""Records of one reason that are named."""


def _cannot_tell(_: Instance) -> bool:
    return False


@dataclass(frozen=True, slots=True)
class Listing:
    """One complete response about a service: its instances in canonical order, one per address."""

    instances: tuple[Instance, ...]
    skipped: Mapping[str, int] = field(default_factory=dict)
    """How many records were left out, by reason."""
    is_forced: bool = False
    """Whether the registry calls everybody healthy since too few are (Nacos' protectThreshold)."""
    node: str = ""
    """Which server of a cluster said so; another one may know less."""
    left_out: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Which records were left out (`MOST_LEFT_OUT` at most), by reason: what the registry calls them, or their addresses."""
    is_gone: Callable[[Instance], bool] = field(default=_cannot_tell, compare=False)
    """Whether an instance that is not listed is known to be no more. Its address may be somebody else's by now."""


@dataclass(frozen=True, slots=True)
class Registration:
    """What a sidecar registers: its service's name and address, its tag (`base` = none) and metadata."""

    service: str
    host: str
    port: int
    tag: str = BASE
    weight: float = 1.0
    metadata: dict[str, str] = field(default_factory=dict)

    @property
    def interval(self) -> float:
        """Seconds between heartbeats: the metadata `preserved.heart.beat.interval` (milliseconds) says so to registries, too."""
        text = self.metadata.get("preserved.heart.beat.interval", "")
        return int(text) / 1000 if text.isascii() and text.isdigit() and int(text) else HEARTBEAT


class RegistryAdapter(Protocol):
    """What the keeper needs of a registry."""

    @property
    def kind(self) -> str:
        """What `registry.kind` calls it."""
        ...

    @property
    def is_authoritative(self) -> bool:
        """Whether an empty list means what it says. A remote registry's may just as well mean that it restarted."""
        ...

    def watch(self, service: str) -> AsyncGenerator[Listing, None]:
        """Yields the complete list of `service` at once, then whenever it may have changed, for ever.

        Raises RegistryError if the registry did not respond properly; the keeper calls `watch` again later.
        Repeating an equal list is allowed (it means "still so").
        """
        ...

    def describe(self) -> Mapping[str, object]:
        """What is known of the server, as plain values for people: its kind, where it is, which API it speaks."""
        ...

    async def close(self) -> None:
        """Ends what the adapter holds open."""
        ...


class RegistrarAdapter(Protocol):
    """What the registrar needs of a registry to register an instance. Each call raises RegistryError on failure."""

    async def register(self, registration: Registration) -> None:
        """Registers the instance, or registers it again."""
        ...

    async def heartbeat(self, registration: Registration) -> bool:
        """Renews the lease. False: the registry does not know the instance (any more); register it again."""
        ...

    async def suspend(self, registration: Registration) -> None:
        """Says that the instance takes no traffic for now; fine if it is not there. `register` brings it back."""
        ...

    async def withdraw(self, registration: Registration) -> None:
        """Says that the instance takes no new traffic: it is about to leave."""
        ...

    async def release(self, registration: Registration) -> None:
        """Leaves the instance registered for some heartbeats without us: another process goes on with it at once."""
        ...

    async def deregister(self, registration: Registration) -> None:
        """Takes the instance out; fine where it is not there."""
        ...


class Kind(Generic[S]):
    """What the program does with registries of one kind, whose settings are `S`: an entry of `kinds.KINDS`."""

    summary: ClassVar[str]
    """What it is, in a few words, for the table in `docs/registries.md`."""
    registers: ClassVar[bool] = False
    """Whether its adapters are registrars, too: sidecars register their instance there."""
    reloads: ClassVar[bool] = False
    """Whether a reload takes all of its settings; otherwise those that change need a restart."""

    def adapter(self, settings: S, embedded: EmbeddedRegistry | None) -> RegistryAdapter:
        """A new adapter; one that `registers` is a RegistrarAdapter as well. `embedded` is the registry in this process, if any.

        Raises CertificateError if a file cannot be read.
        """
        raise NotImplementedError

    def reload(self, adapter: Any, settings: S, tls: UpstreamTLS | None) -> None:
        """Gives an adapter what can change while it runs. `tls` is how the registry is reached, if that is TLS."""

    def senseless(self, settings: S, listeners: Sequence[tuple[Location, Address]]) -> Iterator[Finding]:
        """Settings that can never do what they say, by their place within `settings`.

        `listeners` are the addresses on which the program itself listens, by setting.
        """
        yield from ()

    def refuses(self, registration: Registration) -> Iterator[Finding]:
        """What the registry does not take of an instance, by its place in a sidecar's settings."""
        yield from ()
