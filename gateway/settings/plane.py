"""Settings of the data plane: timeouts, limits, retries, TLS, health, access log."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from gateway.identity import check_pattern
from gateway.settings.balancing import BalancingSettings, StickyInstanceSettings
from gateway.settings.fields import (
    Address,
    AddressField,
    BaggageKey,
    Duration,
    FileName,
    HeaderName,
    Host,
    IdFieldName,
    LogFileName,
    LoggedHeader,
    Model,
    Parameter,
    PositiveDuration,
    RuleName,
    Secret,
    TargetField,
)
from gateway.settings.nacosports import NacosListenField
from gateway.telemetry.tracecontext import ID_FIELDS

IdentityText = Annotated[str, AfterValidator(check_pattern)]


class CarrierSettings(Model):
    """The carriers of the tag in requests. They must be the same on the entry gateway and on every sidecar."""

    header: HeaderName = "x-gray-tag"
    """The tag header."""
    baggage: BaggageKey = "x-gray-tag"
    """The member of the W3C baggage header; case-sensitive."""
    ids: list[IdFieldName] = Field(default_factory=lambda: [field.name.decode("ascii") for field in ID_FIELDS])
    """By which ids, beside that of `traceparent`, a sidecar remembers requests."""
    keys: FileName | None = None
    """A file of keys by which the tag is signed between gateways and sidecars, relative to this file; only its owner may
    have access to it. Left out: the tag is not signed."""
    signing: Literal["required", "permissive"] = "required"
    """With `keys`: what a sidecar does with a tag that is not signed. `required`: drops it; `permissive`: accepts and counts
    it, for the time in which not all have keys."""
    lifetime: PositiveDuration = 600.0
    """How long a signature is good: longer than any request takes in an application, and than `trace_memory.ttl`."""


class TimeoutSettings(Model):
    """How long the data plane waits."""

    head: PositiveDuration = 10.0
    """For a whole request head, from its first byte; then 408. (nginx waits 60 s; HAProxy recommends 10.)"""
    body_idle: Duration = 60.0
    """Between two pieces of a body, in either direction; then 408, or the response is cut off. 0: never."""
    body_grace: Duration = 10.0
    """How long a request body may take before `limits.body_rate` applies to it."""
    connect: PositiveDuration = 2.0
    """For a connection to an instance; then another instance is tried."""
    response: Duration = 30.0
    """For the response head, after the request was sent; then 504. 0: never."""
    keep_alive: PositiveDuration = 75.0
    """How long an idle client connection is kept."""
    tunnel_idle: Duration = 3600.0
    """How long a tunnel (a WebSocket) without traffic is kept. 0: for as long as it is open."""
    upstream_idle: PositiveDuration = 4.0
    """How long an idle connection to an instance is kept: less than the 5 s after which Node.js and uvicorn close it."""


class LimitSettings(Model):
    """What the data plane accepts."""

    head_bytes: int = Field(default=65536, ge=1024, le=1048576)
    """Bytes of a head; more is 431."""
    header_count: int = Field(default=100, ge=10, le=10000)
    """Fields of a head; more is 431."""
    target_bytes: int = Field(default=16384, ge=256, le=1048576)
    """Bytes of a request target; more is 414. (RFC 9112 recommends at least 8,000.)"""
    pipelined_bytes: int = Field(default=65536, ge=1024)
    """Bytes of following requests that are read while a request is in flight; beyond that, the client has to wait."""
    body_rate: int = Field(default=500, ge=0)
    """Minimum bytes per second of a request body, on average, after `timeouts.body_grace`; slower is 408. 0: any rate."""
    connections: int = Field(default=10_000, ge=1)
    """Client connections of a listener; beyond that 503, and the connection is closed."""
    connections_per_client: int = Field(default=2_000, ge=1)
    """Connections from one address that is not trusted; beyond that 429, and the connection is closed."""
    in_flight: int = Field(default=4_096, ge=1)
    """Requests in flight on a listener; beyond that 503 at once."""
    lane_in_flight: int = Field(default=2_048, ge=1)
    """Requests in flight on a listener at instances with one tag, whatever the service; beyond that 503 at once. Less than
    `in_flight`, so that the instances of a lane that hang leave room for the baseline."""
    inspected_bytes: int = Field(default=67_108_864, ge=1024)
    """Bytes of request bodies buffered for rules, over all requests of a listener; beyond that 503."""
    tunnels: int = Field(default=5_000, ge=1)
    """Tunnels (WebSockets) of a listener, including requests for one; beyond that 503."""
    tunnels_per_client: int = Field(default=500, ge=1)
    """Tunnels from one address that is not trusted; beyond that 429."""
    upstream_connections: int = Field(default=256, ge=1)
    """Connections to one instance, not counting tunnels. Beyond that, requests wait for one for up to `timeouts.connect`, then
    get 503."""
    upstream_streams: int = Field(default=100, ge=1, le=1_000)
    """Requests at a time on one connection to an instance that speaks HTTP/2; fewer if the instance says so. For more, further
    connections are opened."""


class Http2Settings(Model):
    """HTTP/2 with clients: by ALPN with TLS, and without TLS by prior knowledge. What it limits, it limits on each connection.

    To instances: `upstream_ping`.
    """

    enabled: bool = True
    """`false`: clients speak HTTP/1.1."""
    streams: int = Field(default=100, ge=1, le=10_000)
    """Requests at a time; one more is refused, and the client may repeat it."""
    resets: int = Field(default=200, ge=1)
    """Requests that the client gives up within a second, or that end by its fault. Each that completes allows one more, and
    30 s allow all again. More close the connection."""
    control_frames: int = Field(default=1_000, ge=100)
    """Frames that carry nothing of a message; they are allowed again within 30 s, and sooner if messages flow. More close the
    connection."""
    continuations: int = Field(default=16, ge=1, le=1_000)
    """Frames after the first in which a head may come; more close the connection."""
    unread_bytes: int = Field(default=1_048_576, ge=65_536, le=268_435_456)
    """Bytes of request bodies that instances have not taken. More are not sent by the client."""
    buffered_bytes: int = Field(default=1_048_576, ge=65_536, le=268_435_456)
    """Bytes of responses that the client has not taken. Beyond that, instances are not read from, and new requests are
    refused."""
    max_connection_age: Duration = 3600.0
    """After how long, give or take a tenth, the client is asked to open another connection. Its requests in flight are served.
    0: never."""
    ping: Duration = 30.0
    """After what silence a client with requests in flight is asked whether it is there; if it does not respond in the same
    time, the connection is closed. 0: never."""
    upstream_ping: Duration = 5.0
    """After what silence an instance that owes responses is asked whether it is there; if it does not respond in the same time,
    the connection is closed, and requests that may be repeated go to another instance. 0: never."""


class CertificateSettings(Model):
    """A certificate and its key."""

    cert: FileName
    """The certificate and its intermediates, in PEM; relative to this file."""
    key: FileName
    """Its private key, in PEM, without a password."""


class ListenTLSSettings(Model):
    """TLS on the listener."""

    certificates: list[CertificateSettings] = Field(min_length=1)
    """The certificate is chosen by the name that the client asks for (SNI); if none matches, the first one is used."""
    minimum: Literal["1.2", "1.3"] = "1.2"
    """The lowest TLS version."""


class UpstreamTLSSettings(Model):
    """TLS to a service's instances."""

    ca: FileName | None = None
    """The CAs to trust, in PEM, relative to this file. Default: the system's."""
    server_name: Host | None = None
    """The name sent (SNI) and verified. Default: each instance's host."""
    verify: bool = True
    """false: accept any certificate. For tests only."""


class MeshSettings(Model):
    """Mutual TLS between gateways and sidecars: who this program is, whom it trusts, and which instances it calls so."""

    cert: FileName
    """The certificate that shows who this program is, and its intermediates, in PEM; relative to this file."""
    key: FileName
    """Its private key, in PEM, without a password."""
    ca: FileName
    """The CAs of the mesh, in PEM. No others are trusted."""
    identity: IdentityText
    """Who an instance of a service is: the SPIFFE ID or the DNS name of its certificate, with `{service}` for the service's
    name."""
    outbound: Literal["announced", "required"] = "announced"
    """Which instances are called by mutual TLS. `announced`: those whose metadata says so; `required`: all."""


class SidecarMeshSettings(MeshSettings):
    """The same of a sidecar, which is called, too."""

    inbound: Literal["required", "permissive"] = "required"
    """`required`: callers without mutual TLS get 403. `permissive`: they are served as if there was no `mesh`, and counted."""
    peers: list[IdentityText] = Field(default_factory=list)
    """Who may call: identities in which `*` stands for a part of a segment, and `**` for any number of segments. Default: the
    whole trust domain of `identity`."""
    forward_client_cert: bool = False
    """Whether the application is sent the caller's identity, in X-Forwarded-Client-Cert."""


class CheckSettings(Model):
    """Active health checks of instances, by each worker, and by each sidecar that calls the service."""

    path: str | None = Field(default=None, pattern=r"^/[!-\"$-~]*$")
    """The path to GET. A status below 400 passes."""
    grpc: str | None = Field(default=None, max_length=256)
    """Instead of `path`: the name by which grpc.health.v1 is asked; `''`: the server as a whole. `SERVING` passes."""
    interval: PositiveDuration = 5.0
    """How often each instance is checked."""
    timeout: PositiveDuration = 1.0
    """How long the instance has to respond."""
    failures: int = Field(default=3, ge=1)
    """How many failures in a row eject an instance."""
    passes: int = Field(default=2, ge=1)
    """How many passes in a row bring it back."""

    @model_validator(mode="after")
    def _is_one(self) -> CheckSettings:
        if (self.path is None) == (self.grpc is None):
            raise ValueError("either `path` or `grpc` is needed")
        return self


class AppCheckSettings(Model):
    """How a sidecar checks that its application accepts requests. While it does not, the instance gets no traffic."""

    enabled: bool = True
    """`false` for an application that only calls others, such as a timer or a queue consumer."""
    path: str | None = Field(default=None, pattern=r"^/[!-\"$-~]*$")
    """The path to GET; a status below 400 passes. Default: a connection is enough."""
    interval: PositiveDuration = 0.5
    """How often the application is checked."""
    timeout: PositiveDuration = 1.0
    """How long the application has to respond."""
    failures: int = Field(default=2, ge=1)
    """How many failures in a row take the instance out; a refused connection does so at once."""


class EjectionSettings(Model):
    """When a failing instance gets no traffic for a while. A successful response ends the series of failures."""

    connect_failures: int = Field(default=3, ge=1)
    """How many failed connections in a row eject an instance."""
    errors: int = Field(default=5, ge=1)
    """How many responses in a row that are 5xx, late or malformed eject it."""
    time: PositiveDuration = 10.0
    """How long the first ejection lasts; doubled each time the instance fails again soon."""
    longest: PositiveDuration = 300.0
    """How long an ejection lasts at most."""
    share: float = Field(default=0.5, ge=0, le=1)
    """The largest share of a baseline that may be ejected at a time, rounded down: below 1, a single instance is never
    ejected. It is a share of those that accept connections; the others are ejected besides. A whole lane may be ejected,
    because it can fall back to the baseline. 0: no ejection."""


class ServiceSettings(Model):
    """Settings of one service."""

    tls: UpstreamTLSSettings | None = None
    """Its instances use TLS. Default: they do not."""
    protocol: Literal["auto", "http1", "h2", "h2c"] = "auto"
    """What its instances speak: HTTP/1.1, HTTP/2 in TLS, or HTTP/2 without. `auto`: what their metadata says, what TLS
    negotiates (ALPN), and for gRPC requests HTTP/2."""
    mtls: Literal["announced", "required", "never"] | None = None
    """Which of its instances are called by mutual TLS, other than `mesh.outbound` says: also `never`."""
    registry: RuleName | None = None
    """The one of `registries` that has the service. Default: all of them."""
    balancing: BalancingSettings | None = None
    """How requests are divided among its instances. Default: as `balancing` of the program says."""
    sticky_instance: StickyInstanceSettings | None = None
    """Clients stay at their instance, by a cookie. Needs `sticky.secret`. Default: they do not."""
    slow_start: Duration = 0.0
    """How long a new instance takes to reach its full weight; 0: full weight at once."""
    check: CheckSettings | None = None
    """Active health checks of the instances. Default: none."""
    when_all_unhealthy: Literal["fall_back", "use_all"] = "fall_back"
    """What to do if all instances of a tag are unhealthy. `fall_back`: the baseline serves the tag's requests, and baseline
    requests get 503. `use_all`: use the unhealthy instances."""


class RetrySettings(Model):
    """When a request is retried: never outside its lane's pool, and never if that could execute it twice."""

    attempts: int = Field(default=3, ge=1, le=10)
    """Instances that one request is sent to. Those that accept nothing do not count, unless this is 1: no retries."""
    share: float = Field(default=0.2, ge=0, le=1)
    """The retry budget: retries as a share of requests."""
    minimum: float = Field(default=10.0, ge=0)
    """Retries per second that are allowed on top, for a quiet gateway."""


MASKED = ("token", "access_token", "api_key", "password", "secret")
"""Parameters whose values nobody is shown."""


class RecordSettings(Model):
    """The requests that the admin API shows."""

    enabled: bool = True
    """`false`: none are kept."""
    size: int = Field(default=2_000, ge=1, le=1_000_000)
    """How many are kept; the oldest make room."""
    collected: int = Field(default=5_000, ge=1, le=1_000_000)
    """How many are kept of those that other programs deliver."""
    max_bytes: int = Field(default=8_388_608, ge=65_536)
    """Bytes that these and those may take, each."""
    marked_rate: int = Field(default=100, ge=0, le=10_000)
    """Marked requests kept per second, by each process and listener."""
    unmarked_rate: int = Field(default=20, ge=0, le=10_000)
    """Other requests kept per second, likewise."""
    params: list[Parameter] = Field(default_factory=list)
    """Query parameters whose values are shown. Default: none."""
    mask: list[Parameter] = Field(default_factory=lambda: list(MASKED))
    """Parameters whose values are replaced by `***`."""
    collector: TargetField | None = None
    """The admin address of the gateway that this program delivers its records to, so that it can show whole chains.
    Default: none."""
    token: Secret | None = None
    """The token of deliveries, the same on both sides. It allows nothing else. Default: `admin_token` of the collector, if it
    has one, is needed."""


class AccessLogSettings(Model):
    """One line per request."""

    path: LogFileName = "stdout"
    """The file, relative to this file; `stdout`: standard output. The file is reopened after it has been renamed."""
    format: Literal["json", "combined"] = "json"
    """`json`: one object per line; `combined`: the format of Apache and nginx."""
    sample: float = Field(default=1.0, ge=0, le=1)
    """The share of normal responses to log. Responses with status 500 or above, and requests with a cause, are always
    logged."""
    headers: list[LoggedHeader] = Field(default_factory=lambda: ["user-agent"])
    """Request headers to log, in JSON."""
    mask: list[Parameter] = Field(default_factory=lambda: list(MASKED))
    """Parameters whose values are replaced by `***`."""


class TraceMemorySettings(Model):
    """What a sidecar remembers of inbound requests, for services that forward only a trace id, or not even that."""

    entries: int = Field(default=100_000, ge=2)
    """How many marked trace ids at most."""
    ttl: PositiveDuration = 60.0
    """How long; the first half of it for certain."""
    request_id: bool = False
    """Whether inbound requests without an `x-request-id` get one, for applications that pass that on and no trace."""
    in_flight: bool = False
    """Whether a call that carries nothing known takes the tag that all requests in flight have in common."""


class FacadeSettings(Model):
    """Where a sidecar speaks for registries to its application."""

    nacos: NacosListenField | None = None
    """Nacos' address for the application (`server-addr`): HTTP there and gRPC 1000 ports above. Keep it on loopback."""
    consul: AddressField | None = None
    """The address of a Consul agent for the application, instead. Keep it on loopback."""

    @model_validator(mode="after")
    def _is_one(self) -> FacadeSettings:
        if (self.nacos is None) == (self.consul is None):
            raise ValueError("either `nacos` or `consul` is needed")
        return self

    @property
    def kind(self) -> Literal["nacos", "consul"]:
        """What it stands in for."""
        return "consul" if self.nacos is None else "nacos"

    @property
    def address(self) -> Address:
        """Where it is."""
        found = self.nacos or self.consul
        assert found is not None
        return found


class DrainSettings(Model):
    """How the program ends."""

    delay: Duration = 0.0
    """How long it keeps serving after it said that it leaves, until everybody has noticed."""
    timeout: Duration = 30.0
    """How long requests in flight may take after that."""


class SidecarDrainSettings(DrainSettings):
    """How a sidecar ends: it deregisters first."""

    delay: Duration = 5.0
    """How long it keeps serving after deregistering: longer than its peers take to notice (their poll interval)."""
