"""Routes: which requests go to which service."""

from __future__ import annotations

from pydantic import Field, model_validator

from gateway.settings.fields import HeaderValue, Host, Model, ReplyHeader, RoutePath, ServiceName


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


class RouteSettings(Model):
    """Requests with a path prefix go to a service, or get a fixed response."""

    path: RoutePath
    """The path prefix, at a segment boundary: /A matches /A and /A/x, not /AB. The longest match wins."""
    host: Host | None = None
    """Only for this host. A route with a host takes precedence over routes for any host."""
    service: ServiceName | None = None
    """The service's name in the registry."""
    strip_prefix: bool = False
    """Whether the path prefix is removed before forwarding. The service gets it in X-Forwarded-Prefix."""
    restore_prefix: bool = True
    """Whether responses get back what strip_prefix removed, in Location, Content-Location, Refresh and cookie paths."""
    inspect_body: int = Field(default=0, ge=0, le=1_048_576)
    """How many bytes of a body rules may look at: the request waits for the body. A longer body counts as absent. 0: bodies
    are not inspected."""
    respond: RespondSettings | None = None
    """A fixed response, instead of a service."""

    @model_validator(mode="after")
    def _one_target(self) -> RouteSettings:
        if (self.service is None) == (self.respond is None):
            raise ValueError("a route has either `service` or `respond`")
        return self
