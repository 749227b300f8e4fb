"""What the data plane does with requests, wherever they go: waits, limits, retries, TLS, access log."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from gateway.settings.fields import (
    BaggageKey,
    Duration,
    FileName,
    HeaderName,
    Host,
    LogFileName,
    LoggedHeader,
    Model,
    Parameter,
    PositiveDuration,
    RuleName,
)


class CarrierSettings(Model):
    """Where requests carry their tag. The same on the entry and on every sidecar."""

    header: HeaderName = "x-gray-tag"
    """The tag header."""
    baggage: BaggageKey = "x-gray-tag"
    """The member of the W3C baggage header; case counts."""


class TimeoutSettings(Model):
    """How long the data plane waits."""

    head: PositiveDuration = 10.0
    """For a whole request head from its first byte; then 408. (nginx waits 60 s, HAProxy is advised 10.)"""
    body_idle: PositiveDuration = 60.0
    """Between two pieces of a body, in either direction; then 408, or the answer is cut off."""
    body_grace: Duration = 10.0
    """How long a request body may take before `limits.body_rate` is asked of it."""
    connect: PositiveDuration = 2.0
    """For a connection to an instance; then another instance is tried."""
    answer: PositiveDuration = 30.0
    """For an answer's head after the request was sent; then 504."""
    keep_alive: PositiveDuration = 75.0
    """That an idle client connection is kept."""
    tunnel_idle: PositiveDuration = 3600.0
    """That a tunnel (a WebSocket) is kept in which nobody says anything."""
    upstream_idle: PositiveDuration = 4.0
    """That an idle connection to an instance is kept: less than the 5 s after which Node.js and uvicorn close."""


class LimitSettings(Model):
    """What the data plane accepts."""

    head_bytes: int = Field(default=65536, ge=1024, le=1048576)
    """Bytes of a head; more is 431."""
    header_count: int = Field(default=100, ge=10, le=10000)
    """Fields of a head; more is 431."""
    target_bytes: int = Field(default=16384, ge=256, le=1048576)
    """Bytes of a request target; more is 414. (RFC 9112 asks for 8,000 at least.)"""
    pipelined_bytes: int = Field(default=65536, ge=1024)
    """Bytes of following requests read while one is being answered; beyond it the client has to wait."""
    body_rate: int = Field(default=500, ge=0)
    """Bytes a second of a request body, on average after `timeouts.body_grace`; slower is 408. 0: any."""
    connections: int = Field(default=10_000, ge=1)
    """Client connections of a listener; beyond that 503, closed."""
    connections_per_client: int = Field(default=2_000, ge=1)
    """Connections from one address that is not trusted; beyond that 429, closed."""
    in_flight: int = Field(default=4_096, ge=1)
    """Requests under way on a listener; beyond that 503 at once."""
    inspected_bytes: int = Field(default=67_108_864, ge=1024)
    """Bytes of request bodies kept for rules that look at them, of all requests of a listener; beyond that 503."""
    tunnels: int = Field(default=5_000, ge=1)
    """Tunnels (WebSockets) of a listener, requests for one included; beyond that 503."""
    tunnels_per_client: int = Field(default=500, ge=1)
    """Tunnels of one address that is not trusted; beyond that 429."""
    upstream_connections: int = Field(default=256, ge=1)
    """Connections to one instance, tunnels apart; beyond that requests wait for one, `timeouts.connect` at most, then 503."""


class CertificateSettings(Model):
    """A certificate and its key."""

    cert: FileName
    """The certificate and its intermediates, in PEM; relative to this file."""
    key: FileName
    """Its private key, in PEM, without a password."""


class ListenTLSSettings(Model):
    """TLS on the listener."""

    certificates: list[CertificateSettings] = Field(min_length=1)
    """Chosen by the name that the client asks for (SNI) among the names they are for; the first one where none is."""
    minimum: Literal["1.2", "1.3"] = "1.2"
    """The oldest version spoken."""


class UpstreamTLSSettings(Model):
    """TLS to a service's instances."""

    ca: FileName | None = None
    """The CAs trusted, in PEM, relative to this file; left out: the system's."""
    server_name: Host | None = None
    """The name asked for and verified; left out: each instance's host."""
    verify: bool = True
    """false: any certificate is taken. For tests only."""


class CheckSettings(Model):
    """Instances are asked whether they are well: by each worker, and by each sidecar that calls the service."""

    path: str = Field(pattern=r"^/[!-\"$-~]*$")
    """What is asked for, by GET; an answer below 400 is a good one."""
    interval: PositiveDuration = 5.0
    """How often each instance is asked."""
    timeout: PositiveDuration = 1.0
    """How long it has to answer."""
    failures: int = Field(default=3, ge=1)
    """How many failures in a row take it out."""
    passes: int = Field(default=2, ge=1)
    """How many good answers in a row let it in again."""


class AppCheckSettings(Model):
    """How a sidecar finds out whether its application takes requests. An instance whose application does not gets none."""

    enabled: bool = True
    """Whether it is asked at all. `false` for a service that only calls others, as a timer or a queue consumer does."""
    path: str | None = Field(default=None, pattern=r"^/[!-\"$-~]*$")
    """What is asked for, by GET; an answer below 400 is a good one. Left out: a connection is enough."""
    interval: PositiveDuration = 0.5
    """How often."""
    timeout: PositiveDuration = 1.0
    """How long it has to answer."""
    failures: int = Field(default=2, ge=1)
    """How many failures in a row take it out; a connection that is refused does so at once."""


class EjectionSettings(Model):
    """When an instance that fails gets no traffic for a while. A request that it answers well ends the row."""

    connect_failures: int = Field(default=3, ge=1)
    """How many refused connections in a row eject it."""
    errors: int = Field(default=5, ge=1)
    """How many answers in a row that are 5xx, late or broken eject it."""
    time: PositiveDuration = 10.0
    """For how long at first; twice as long each time that it fails again soon."""
    longest: PositiveDuration = 300.0
    """For how long at most."""
    share: float = Field(default=0.5, ge=0, le=1)
    """The largest share of a baseline that is out at a time, rounded down: a single instance is never ejected below 1. A lane
    may be out whole, since the baseline is behind it. 0: nobody is ejected."""


class ServiceSettings(Model):
    """What is special about a service."""

    tls: UpstreamTLSSettings | None = None
    """Its instances speak TLS; left out: they do not."""
    registry: RuleName | None = None
    """The one of `registries` in which it is looked for; left out: all of them."""
    slow_start: Duration = 0.0
    """For how long a new instance gets a growing share of its weight; 0: it gets all at once."""
    check: CheckSettings | None = None
    """Instances are asked whether they are well; left out: they are not."""
    when_all_unhealthy: Literal["fall_back", "use_all"] = "fall_back"
    """What happens where all instances of a tag are unhealthy: the baseline serves the tag's requests (and those of the
    baseline get 503), or the unhealthy ones are used."""


class RetrySettings(Model):
    """When a request is tried again: never outside its lane's pool, and never where that could do it twice."""

    attempts: int = Field(default=3, ge=1, le=10)
    """Instances tried for one request."""
    share: float = Field(default=0.2, ge=0, le=1)
    """Retries in proportion to requests, at the most: the budget."""
    minimum: float = Field(default=10.0, ge=0)
    """Retries a second that are allowed besides, for a quiet gateway."""


class AccessLogSettings(Model):
    """A line for each request."""

    path: LogFileName = "stdout"
    """The file, relative to this file; `stdout`: standard output. A renamed file is opened anew."""
    format: Literal["json", "combined"] = "json"
    """One JSON object a line, or the combined format of Apache and nginx."""
    sample: float = Field(default=1.0, ge=0, le=1)
    """The share of plain answers logged; answers of 500 and up, and those with a cause, always are."""
    headers: list[LoggedHeader] = Field(default_factory=lambda: ["user-agent"])
    """Request headers to log, in JSON."""
    mask: list[Parameter] = Field(default_factory=lambda: ["token", "access_token", "api_key", "password", "secret"])
    """Query parameters whose values are replaced by `***`."""
