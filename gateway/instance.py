"""One registered address of a service."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from gateway import hop
from gateway.protocols import AUTO, HTTP1, read_grpc_port, read_protocol
from gateway.tags import BASE

UID_KEY: Final = "pod-uid"
"""Metadata of an instance: what tells it from another one that had its address before, if its registry knows that."""


@dataclass(frozen=True, slots=True)
class Instance:
    """One registered address of a service.

    `weight` is its share of the pool's traffic relative to the others; 0 means no new traffic. `metadata` is what the
    registry holds beside the tag, for people to read.
    """

    host: str
    port: int
    tag: str = BASE
    weight: float = 1.0
    healthy: bool = True
    enabled: bool = True
    metadata: Mapping[str, str] = field(default_factory=dict, hash=False)
    address: str = field(init=False, compare=False)
    """`host:port`, IPv6 hosts in brackets: one address is one instance at a time."""
    target_line: bytes = field(init=False, compare=False, repr=False)
    """The field line from which a sidecar there learns which instance a request is meant for."""
    announces_mtls: bool = field(init=False, compare=False, repr=False)
    """Whether it says of itself that it takes mutual TLS."""
    identity: bytes = field(init=False, compare=False, repr=False)
    """Who is meant at the address. Somebody else there has another one: what is known of the former does not hold for it."""
    protocol: str = field(init=False, compare=False, repr=False)
    """What its metadata says that it speaks: see `protocols`."""
    is_secure: bool = field(init=False, compare=False, repr=False)
    """Whether its metadata says that it speaks TLS."""
    is_plain: bool = field(init=False, compare=False, repr=False)
    """Whether nothing says that it speaks anything else than HTTP/1.1 on plain connections."""
    grpc: Instance | None = field(init=False, compare=False, repr=False)
    """Where it takes gRPC calls, if that is another port."""

    def __post_init__(self) -> None:
        host = f"[{self.host}]" if ":" in self.host else self.host
        object.__setattr__(self, "address", f"{host}:{self.port}")
        target = hop.target(self.tag, self.metadata.get(hop.SIDECAR_KEY, ""))
        object.__setattr__(self, "target_line", hop.line(target))
        object.__setattr__(self, "announces_mtls", self.metadata.get(hop.MTLS_KEY) == "true")
        uid = self.metadata.get(UID_KEY, "")
        object.__setattr__(self, "identity", self.target_line + uid.encode("utf-8", "replace"))
        protocol, is_secure = read_protocol(self.metadata, self.port)
        object.__setattr__(self, "protocol", protocol)
        object.__setattr__(self, "is_secure", is_secure)
        object.__setattr__(self, "is_plain", protocol in (AUTO, HTTP1) and not is_secure)
        port = read_grpc_port(self.metadata, self.port)
        object.__setattr__(self, "grpc", Instance(self.host, port, self.tag) if port else None)

    def as_row(self) -> tuple[str, int, str, float, bool, bool, dict[str, str]]:
        """The arguments that make it again, as built-in types."""
        return self.host, self.port, self.tag, self.weight, self.healthy, self.enabled, dict(self.metadata)

    @property
    def has_sidecar(self) -> bool:
        """Whether one of our sidecars takes its requests."""
        return hop.SIDECAR_KEY in self.metadata

    @property
    def is_usable(self) -> bool:
        """Whether new requests may go there."""
        return self.healthy and self.enabled and self.weight > 0


def sorted_instances(instances: Iterable[Instance]) -> tuple[Instance, ...]:
    """The canonical order (by address, one per address: the last one given wins), so that equal lists compare equal."""
    by_address = {instance.address: instance for instance in instances}
    return tuple(by_address[address] for address in sorted(by_address))
