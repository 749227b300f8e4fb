"""Routes: which requests go to which service."""

from __future__ import annotations

from pydantic import Field, model_validator

from gateway.settings.changes import HeaderChanges, RedirectSettings, RewriteSettings, RouteMatchSettings
from gateway.settings.fields import (
    Duration,
    HeaderValue,
    Host,
    Model,
    PositiveDuration,
    ReplyHeader,
    RoutePath,
    ServiceName,
)
from gateway.settings.gates import (
    AccessSettings,
    BasicAuthSettings,
    CompressSettings,
    CorsSettings,
    ForwardAuthSettings,
    RateLimitSettings,
)


class RespondSettings(Model):
    """A fixed response: a target for load tests, a health path, a notice."""

    status: int = Field(default=200, ge=200, le=599)
    """The status."""
    body: str = ""
    """The body, in UTF-8."""
    headers: dict[ReplyHeader, HeaderValue] = Field(
        default_factory=lambda: {"content-type": "text/plain; charset=utf-8"}
    )
    """The header fields, except the length."""


class RouteTimeoutSettings(Model):
    """How long requests of a route wait, in place of what `timeouts` of the gateway says. What is left out is as there."""

    body_idle: Duration | None = None
    """As `timeouts.body_idle`. 0: never."""
    body_grace: Duration | None = None
    """As `timeouts.body_grace`."""
    connect: PositiveDuration | None = None
    """As `timeouts.connect`."""
    response: Duration | None = None
    """As `timeouts.response`. 0: never."""
    tunnel_idle: Duration | None = None
    """As `timeouts.tunnel_idle`. 0: never."""

    @model_validator(mode="after")
    def _says_something(self) -> RouteTimeoutSettings:
        if not self.model_fields_set:
            raise ValueError(f"at least one of {', '.join(f'`{name}`' for name in type(self).model_fields)} is needed")
        return self


class RouteRetrySettings(Model):
    """How often requests of a route are tried. The budget of retries is that of their service and tag, whatever the route."""

    attempts: int = Field(ge=1, le=10)
    """As `retries.attempts`. 1: no retries."""


class RouteSettings(Model):
    """Requests with a path prefix go to a service, are sent elsewhere, or get a fixed response."""

    path: RoutePath
    """The path prefix, at a segment boundary: /A matches /A and /A/x, not /AB. The longest match wins."""
    host: Host | None = None
    """Only for this host. A route with a host takes precedence over routes for any host."""
    match: RouteMatchSettings | None = None
    """What else a request must be like. Of routes with the same host and path, those with `match` are tried first, in order."""
    service: ServiceName | None = None
    """The service's name in the registry."""
    strip_prefix: bool = False
    """Whether the path prefix is removed before forwarding. The service gets it in X-Forwarded-Prefix."""
    restore_prefix: bool = True
    """Whether responses get back what strip_prefix removed or rewrite.prefix replaced, in Location, Content-Location, Refresh
    and cookie paths."""
    access: AccessSettings | None = None
    """Which clients are served, by address, beside what `access` of the gateway says."""
    cors: CorsSettings | None = None
    """What pages of other origins may do. Left out: the service says so."""
    rate_limits: list[RateLimitSettings] = Field(default_factory=list)
    """How many requests are served. All limits hold."""
    require_token: bool = False
    """Whether requests must have a valid token, by `jwt` of the gateway."""
    basic_auth: BasicAuthSettings | None = None
    """Requests must have the name and password of a user."""
    forward_auth: ForwardAuthSettings | None = None
    """An authorization service is asked about each request."""
    timeouts: RouteTimeoutSettings | None = None
    """How long requests wait, other than `timeouts` of the gateway says."""
    retries: RouteRetrySettings | None = None
    """How often requests are tried, other than `retries` of the gateway says."""
    rewrite: RewriteSettings | None = None
    """Which URL the service sees."""
    request_headers: HeaderChanges | None = None
    """What is changed of the header fields of requests."""
    response_headers: HeaderChanges | None = None
    """What is changed of the header fields of responses."""
    compress: CompressSettings | None = None
    """Responses are compressed for clients that accept it."""
    inspect_body: int = Field(default=0, ge=0, le=1_048_576)
    """How many bytes of a body rules may look at: the request waits for the body. A longer body counts as absent. 0: bodies
    are not inspected."""
    respond: RespondSettings | None = None
    """A fixed response, instead of a service."""
    redirect: RedirectSettings | None = None
    """Clients are sent elsewhere, instead of to a service."""

    @property
    def asks(self) -> bool:
        """Whether somebody is asked about its requests."""
        return self.basic_auth is not None or self.forward_auth is not None

    @property
    def moves_prefix(self) -> bool:
        """Whether the service sees its paths without the route's prefix, or with another one."""
        return self.strip_prefix or (self.rewrite is not None and self.rewrite.prefix is not None)

    @model_validator(mode="after")
    def _one_target(self) -> RouteSettings:
        if sum(target is not None for target in (self.service, self.respond, self.redirect)) != 1:
            raise ValueError("a route has one of `service`, `respond` and `redirect`")
        if self.strip_prefix and self.rewrite is not None and self.rewrite.changes_path:
            raise ValueError("`strip_prefix` and a path in `rewrite` exclude each other")
        if self.match is not None and self.match.exact:
            if self.rewrite is not None and self.rewrite.prefix is not None:
                raise ValueError("`rewrite.prefix` has no effect with `match.exact`: use `rewrite.path`")
            if self.redirect is not None and self.redirect.prefix is not None:
                raise ValueError("`redirect.prefix` has no effect with `match.exact`: use `redirect.path`")
        return self
