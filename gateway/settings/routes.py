"""Which requests go where."""

from __future__ import annotations

from pydantic import Field, model_validator

from gateway.settings.fields import HeaderValue, Host, Model, ReplyHeader, RoutePath, ServiceName


class RespondSettings(Model):
    """An answer without a service: a target for load tests, a health path, a notice."""

    status: int = Field(default=200, ge=200, le=599)
    """The status."""
    body: str = ""
    """The body, in UTF-8."""
    headers: dict[ReplyHeader, HeaderValue] = Field(
        default_factory=lambda: {"content-type": "text/plain; charset=utf-8"}
    )
    """The header fields, but for the length."""


class RouteSettings(Model):
    """Requests under a path go to a service, or get an answer without one."""

    path: RoutePath
    """The prefix, at a segment boundary: /A takes /A and /A/x, not /AB. The longest one wins."""
    host: Host | None = None
    """Only for this host; it beats routes for any host."""
    service: ServiceName | None = None
    """The service's name in the registry."""
    strip_prefix: bool = False
    """Whether the path is taken off before forwarding. The service is told by X-Forwarded-Prefix."""
    restore_prefix: bool = True
    """Whether answers get back what strip_prefix took off: in Location, Content-Location, Refresh and the paths of
    cookies."""
    inspect_body: int = Field(default=0, ge=0, le=1_048_576)
    """Bytes of a body that rules may look at: the request waits for it. A longer body counts as none. 0: bodies are not
    looked at."""
    respond: RespondSettings | None = None
    """The answer itself, in place of a service."""

    @model_validator(mode="after")
    def _one_target(self) -> RouteSettings:
        if (self.service is None) == (self.respond is None):
            raise ValueError("a route has either a service or an answer (respond)")
        return self
