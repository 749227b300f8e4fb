"""The settings of `gateway serve` and `gateway sidecar`, as an operator writes them.

The docstring of each field is its reference: `docs/configuration.md` lists them all, and a test compares the two.
"""

from __future__ import annotations

import math
import re
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, PlainValidator, model_validator

from gateway.routing.instance import BASE, Instance, is_tag, sorted_instances

_DURATION = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|s|m|h|)")
_UNITS = {"ms": 0.001, "s": 1.0, "": 1.0, "m": 60.0, "h": 3600.0}
_HOST = re.compile(r"[0-9A-Za-z._~\-]+|\[[0-9A-Fa-f:.]+\]")
_PORT = re.compile(r"[0-9]{1,5}")
_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_SERVICE = re.compile(r"[0-9A-Za-z@._:\-]{1,255}")
_RESERVED_HEADERS = frozenset(
    {
        "host",
        "connection",
        "content-length",
        "transfer-encoding",
        "te",
        "trailer",
        "upgrade",
        "expect",
        "keep-alive",
        "cookie",
        "authorization",
        "baggage",
        "traceparent",
        "proxy-connection",
        "proxy-authorization",
        "http2-settings",
        "content-type",
        "content-encoding",
        "forwarded",
        "x-forwarded-for",
        "x-forwarded-proto",
        "x-forwarded-host",
        "x-real-ip",
        "x-request-id",
        "b3",
        "x-b3-traceid",
    }
)
MAX_DURATION = 7 * 86_400.0
"""Seconds; a longer duration is a slip of the pen rather than a wish."""


class Model(BaseModel):
    """Base of the models: unknown keys are problems, values do not change."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Address(Model):
    """`host:port`; an IPv6 host stands in brackets."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def _parse_address(value: Any) -> Any:
    if isinstance(value, Address):
        return value
    host, colon, port = value.rpartition(":") if isinstance(value, str) else ("", "", "")
    if not colon or _PORT.fullmatch(port) is None or int(port) > 65535 or _HOST.fullmatch(host) is None:
        found = repr(value) if isinstance(value, str) else "nothing" if value is None else "no text"
        raise ValueError(f"an address is host:port, the port 0 to 65535; found {found}")
    return {"host": host.strip("[]"), "port": int(port)}


def _parse_duration(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    match = _DURATION.fullmatch(value)
    if match is None:
        raise ValueError(f"a duration is a number with ms, s, m or h; found {value!r}")
    return float(match[1]) * _UNITS[match[2]]


def _check_tag(text: str) -> str:
    if not is_tag(text):
        raise ValueError("a tag is 1 to 63 letters, digits, '.', '_' or '-', starting with a letter or digit")
    return text


def _check_header(text: str) -> str:
    if _TOKEN.fullmatch(text) is None:
        raise ValueError(f"{text!r} is not a header name")
    if text.lower() in _RESERVED_HEADERS:
        raise ValueError(f"header {text.lower()!r} has a meaning of its own and cannot carry the tag")
    return text.lower()


def _check_member(text: str) -> str:
    # W3C Baggage §3.3.1.1: a key is a token, and case counts.
    if _TOKEN.fullmatch(text) is None:
        raise ValueError(f"{text!r} is not the key of a baggage member: letters, digits and !#$%&'*+-.^_`|~")
    return text


def _check_service(text: str) -> str:
    if _SERVICE.fullmatch(text) is None:
        raise ValueError("a service name is 1 to 255 letters, digits, '.', '_', '-', ':' or '@'")
    return text


def _check_host(text: str) -> str:
    if _HOST.fullmatch(text) is None:
        raise ValueError("a host is a name or an address, without a port")
    return text.lower()


def _check_path(text: str) -> str:
    if not text.startswith("/") or "?" in text or "#" in text or "//" in text or not text.isascii():
        raise ValueError("a route's path starts with '/' and has no '?', '#', '//' or non-ASCII character")
    return text


def _parse_network(value: Any) -> IPv4Network | IPv6Network:
    try:
        return ip_network(value)
    except ValueError as error:
        raise ValueError(f"an address or network is accepted (10.0.0.0/8, host bits 0); found {value!r}") from error


def _one_or_many(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


def _check_weight(value: float) -> float:
    if not math.isfinite(value) or value < 0:
        raise ValueError("a weight is a number from 0 up")
    return value


AddressField = Annotated[Address, BeforeValidator(_parse_address)]
Duration = Annotated[float, BeforeValidator(_parse_duration), Field(ge=0, le=MAX_DURATION)]
PositiveDuration = Annotated[float, BeforeValidator(_parse_duration), Field(gt=0, le=MAX_DURATION)]
Tag = Annotated[str, AfterValidator(_check_tag)]
ServiceName = Annotated[str, AfterValidator(_check_service)]
Network = Annotated[IPv4Network | IPv6Network, PlainValidator(_parse_network)]
Weight = Annotated[float, AfterValidator(_check_weight)]


class StaticInstance(Model):
    """One address of a service in a static registry."""

    address: AddressField
    """Where it serves."""
    tag: Tag = BASE
    """What it is marked with; left out: baseline."""
    weight: Weight = 1.0
    """Its share of the pool's traffic; 0: none."""
    enabled: bool = True
    """false: no traffic."""
    metadata: dict[str, str] = Field(default_factory=dict)
    """Shown to people."""


class StaticRegistrySettings(Model):
    """Instances listed in the configuration; reloaded with it."""

    kind: Literal["static"]
    services: dict[ServiceName, list[StaticInstance]] = Field(default_factory=dict)
    """Instances by service name."""

    def instances(self) -> dict[str, tuple[Instance, ...]]:
        """The instances as routing knows them."""
        return {
            service: sorted_instances(
                Instance(item.address.host, item.address.port, item.tag, item.weight, True, item.enabled, item.metadata)
                for item in items
            )
            for service, items in self.services.items()
        }


class EmbeddedRegistrySettings(Model):
    """The registry that this program brings along, in the same process."""

    kind: Literal["embedded"]
    listen: AddressField = Address(host="127.0.0.1", port=8848)
    """Where sidecars and other Nacos clients reach it."""
    warmup: Duration = 15.0
    """How long lists answer 503 after a start while instances register again; 0 for a first start."""
    data: Path | None = None
    """Directory that keeps published configs; left out: they are gone after a restart."""


class NacosRegistrySettings(Model):
    """A Nacos server, or `gateway registry`, over HTTP."""

    kind: Literal["nacos"]
    address: AddressField
    """The server's API port, 8848 as a rule."""
    namespace: str = ""
    """The namespace's id; left out: the public one."""
    group: str = "DEFAULT_GROUP"
    """The group of all services."""
    interval: PositiveDuration = 2.0
    """How often each service is asked for, give or take a fifth."""


RegistrySettings = Annotated[
    StaticRegistrySettings | EmbeddedRegistrySettings | NacosRegistrySettings, Field(discriminator="kind")
]
SidecarRegistrySettings = Annotated[StaticRegistrySettings | NacosRegistrySettings, Field(discriminator="kind")]


class RouteSettings(Model):
    """Requests under a path go to a service."""

    path: Annotated[str, AfterValidator(_check_path)]
    """The prefix, at a segment boundary: /A takes /A and /A/x, not /AB. The longest one wins."""
    host: Annotated[str, AfterValidator(_check_host)] | None = None
    """Only for this host; it beats routes for any host."""
    service: ServiceName
    """The service's name in the registry."""
    strip_prefix: bool = False
    """Whether the path is taken off before forwarding."""


class CarrierSettings(Model):
    """Where requests carry their tag. The same on the entry and on every sidecar."""

    header: Annotated[str, AfterValidator(_check_header)] = "x-gray-tag"
    """The tag header."""
    baggage: Annotated[str, AfterValidator(_check_member)] = "x-gray-tag"
    """The member of the W3C baggage header; case counts."""


class TimeoutSettings(Model):
    """How long the data plane waits."""

    head: PositiveDuration = 10.0
    """For a whole request head from its first byte; then 408. (nginx waits 60 s, HAProxy is advised 10.)"""
    body_idle: PositiveDuration = 60.0
    """Between two pieces of a body, in either direction; then 408, or the answer is cut off."""
    connect: PositiveDuration = 2.0
    """For a connection to an instance; then another instance is tried."""
    answer: PositiveDuration = 30.0
    """For an answer's head after the request was sent; then 504."""
    keep_alive: PositiveDuration = 75.0
    """That an idle client connection is kept."""
    upstream_idle: PositiveDuration = 4.0
    """That an idle connection to an instance is kept: less than the 5 s after which Node.js and uvicorn close."""


class LimitSettings(Model):
    """What the data plane accepts."""

    head_bytes: int = Field(default=65536, ge=1024, le=1048576)
    """Bytes of a head; more is 431."""
    header_count: int = Field(default=100, ge=10, le=10000)
    """Fields of a head; more is 431."""
    upstream_connections: int = Field(default=256, ge=1)
    """Connections to one instance; beyond that requests wait for one, `timeouts.connect` at most, then 503."""


class DrainSettings(Model):
    """How the program ends."""

    delay: Duration = 0.0
    """How long it goes on serving after it said that it leaves, until everybody has noticed."""
    timeout: Duration = 30.0
    """How long requests in flight may take after that."""


class SidecarDrainSettings(DrainSettings):
    """How a sidecar ends: it deregisters first."""

    delay: Duration = 5.0
    """How long it goes on serving after deregistering: longer than its peers take to notice (their poll interval)."""


class ServingSettings(Model):
    """What serve and sidecar have in common."""

    rules: Annotated[list[str], BeforeValidator(_one_or_many)] = Field(default_factory=list)
    """Lane rules: a directory (its *.yaml files by name), a file, or a list of either; relative to this file."""
    carriers: CarrierSettings = CarrierSettings()
    """Where requests carry their tag."""
    timeouts: TimeoutSettings = TimeoutSettings()
    """How long the data plane waits."""
    limits: LimitSettings = LimitSettings()
    """What the data plane accepts."""


class GatewaySettings(ServingSettings):
    """`config/gateway.yaml`."""

    listen: AddressField = Address(host="0.0.0.0", port=8080)
    """Where clients come in."""
    admin: AddressField = Address(host="127.0.0.1", port=9900)
    """The admin API; it has no authentication yet, so keep it on loopback."""
    workers: Annotated[int, Field(ge=1, le=1)] = 1
    """Processes that route; 1 is what this version can do."""
    registry: RegistrySettings
    """Where the instances of services are known."""
    routes: list[RouteSettings] = Field(default_factory=list)
    """Which requests go to which service."""
    trusted: list[Network] = Field(default_factory=list)
    """Clients that may send carriers and forwarding fields: proxies of your own in front of this one."""
    trace_sampled: float = Field(default=1.0, ge=0, le=1)
    """Share of the traceparents made here that say `sampled`. OpenTelemetry's default sampler follows its parent: with
    0, services behind the gateway would stop tracing."""
    drain: DrainSettings = DrainSettings()
    """How the program ends."""


class TraceMemorySettings(Model):
    """What a sidecar remembers of inbound requests, for services that forward only a trace id."""

    entries: int = Field(default=100_000, ge=2)
    """How many marked trace ids at most."""
    ttl: PositiveDuration = 60.0
    """How long; the first half of it for certain."""


class SidecarSettings(ServingSettings):
    """`config/sidecar.yaml`."""

    service: ServiceName
    """The local service's name in the registry."""
    tag: Tag = BASE
    """What this instance is marked with; left out: baseline."""
    app: AddressField
    """The local service."""
    inbound: AddressField
    """What is registered and what peers call."""
    outbound: AddressField
    """What the local service calls others through; keep it on loopback."""
    advertise: str | None = None
    """The address registered; left out: found."""
    weight: Weight = 1.0
    """The weight registered."""
    metadata: dict[str, str] = Field(default_factory=dict)
    """Registered beside the tag."""
    admin: AddressField = Address(host="127.0.0.1", port=9901)
    """The admin API."""
    registry: SidecarRegistrySettings
    """Where this instance is registered and others are found; static: it is not registered."""
    drain: SidecarDrainSettings = SidecarDrainSettings()
    """How the sidecar ends."""
    trace_memory: TraceMemorySettings = TraceMemorySettings()
    """What is remembered of inbound requests."""

    @model_validator(mode="after")
    def _advertised(self) -> SidecarSettings:
        if self.advertise is not None:
            try:
                address = ip_address(self.advertise)
            except ValueError:
                return self  # a host name; the registry's clients resolve it
            if address.is_unspecified:
                raise ValueError("advertise: an address that peers can reach is needed, not the unspecified one")
        return self
