"""What a route asks of a request, and what it changes of it and of its response."""

from __future__ import annotations

import re
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, Discriminator, Field, Tag, field_validator, model_validator

from gateway.settings.fields import HeaderValue, Host, Model, Parameter, RoutePath, header_name

OURS: Final = frozenset(
    {
        "host", "connection", "content-length", "transfer-encoding", "te", "trailer", "upgrade", "expect", "keep-alive",
        "proxy-connection", "http2-settings", "via", "baggage", "traceparent", "tracestate", "forwarded", "x-real-ip",
        "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-forwarded-prefix", "x-gray-hop", "x-gray-explain",
        "x-gray-fault", "x-gray-mirror",
    }
)  # fmt: skip
"""Header fields (lower-case) that frame messages, or that the gateway writes itself: no route may touch them."""


def _check_edited(text: str) -> str:
    name = header_name(text)
    if name in OURS:
        raise ValueError(f"header {name!r} frames messages or is written by the gateway itself: no route can change it")
    return text


def _check_redirect_status(status: int) -> int:
    if status not in (301, 302, 303, 307, 308):
        raise ValueError(f"the status of a redirect is 301, 302, 303, 307 or 308; found {status}")
    return status


def _check_method(text: str) -> str:
    if re.fullmatch(r"[A-Z][A-Z0-9_-]{0,31}", text) is None or text == "CONNECT":
        raise ValueError(f"a method in upper case is accepted, such as GET; found {text!r}")
    return text


EditedHeader = Annotated[str, AfterValidator(_check_edited)]
RedirectStatus = Annotated[int, AfterValidator(_check_redirect_status)]
MatchedHeader = Annotated[str, AfterValidator(header_name)]
Regex = Annotated[str, Field(min_length=1, max_length=1024)]
"""A regular expression; whether it is a sound one, `config/sense_routes.py` finds out."""
Method = Annotated[str, AfterValidator(_check_method)]


class RegexSettings(Model):
    """A value that matches a regular expression as a whole."""

    regex: Regex
    """The regular expression (RE2)."""


def _kind(value: Any) -> str:
    return "pattern" if isinstance(value, dict | RegexSettings) else "text"


MatchedValue = Annotated[
    Annotated[str, Tag("text")] | Annotated[RegexSettings, Tag("pattern")],
    Discriminator(_kind),
]
"""A whole value, or what it has to match."""


class RouteMatchSettings(Model):
    """What a request must be like, beside its host and path. All of it must hold."""

    exact: bool = False
    """Only this very path, nothing below it."""
    method: Method | None = None
    """Only this method."""
    headers: dict[MatchedHeader, MatchedValue] = Field(default_factory=dict)
    """Header fields, each with its value."""
    params: dict[Parameter, MatchedValue] = Field(default_factory=dict)
    """Query parameters, each with its value."""

    @field_validator("headers", mode="before")
    @classmethod
    def _names_once(cls, value: Any) -> Any:
        names = [name.lower() for name in value if isinstance(name, str)] if isinstance(value, dict) else []
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"header {name!r} is given twice: case does not count")
        return value

    @model_validator(mode="after")
    def _asks_something(self) -> RouteMatchSettings:
        if not (self.exact or self.method or self.headers or self.params):
            raise ValueError("at least one of `exact: true`, `method`, `headers` and `params` is needed")
        return self


class HeaderChanges(Model):
    """What happens to header fields: first some go, then some come."""

    set: dict[EditedHeader, HeaderValue] = Field(default_factory=dict)
    """Fields that replace those of the same name."""
    add: dict[EditedHeader, HeaderValue] = Field(default_factory=dict)
    """Fields that come beside those of the same name."""
    remove: list[EditedHeader] = Field(default_factory=list)
    """Names of fields that go."""

    @model_validator(mode="after")
    def _names_once(self) -> HeaderChanges:
        names = [name.lower() for name in (*self.set, *self.add, *self.remove)]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"header {name!r} is given twice")
        return self

    @property
    def names(self) -> frozenset[str]:
        """The fields that are changed, in lower case."""
        return frozenset(name.lower() for name in (*self.set, *self.add, *self.remove))


class RedirectSettings(Model):
    """Where clients are sent. What is left out stays as requested."""

    status: RedirectStatus = 302
    """The status."""
    scheme: Literal["http", "https"] | None = None
    """Another scheme."""
    host: Host | None = None
    """Another host, without a port."""
    port: int | None = Field(default=None, ge=1, le=65535)
    """Another port. Default: that of the scheme if scheme or host is given."""
    path: RoutePath | None = None
    """Another path, in place of the whole one."""
    prefix: RoutePath | None = None
    """Another prefix, in place of the route's `path`; what is below it stays."""

    @model_validator(mode="after")
    def _leads_elsewhere(self) -> RedirectSettings:
        if not any((self.scheme, self.host, self.port, self.path, self.prefix)):
            raise ValueError("at least one of `scheme`, `host`, `port`, `path` and `prefix` is needed")
        if self.path is not None and self.prefix is not None:
            raise ValueError("`path` and `prefix` exclude each other")
        return self


class RewriteSettings(Model):
    """Which URL the service sees. The query stays."""

    prefix: RoutePath | None = None
    """Another prefix, in place of the route's `path`; what is below it stays."""
    path: RoutePath | None = None
    """Another path, in place of the whole one."""
    regex: Regex | None = None
    """A regular expression (RE2) for the whole path, in normalized form; paths that it does not match stay."""
    to: str | None = None
    r"""With `regex`: the new path. `\1` is what the first group matched, `\0` the whole path."""
    host: Host | None = None
    """Another host, in `Host`; X-Forwarded-Host has the requested one."""

    @property
    def changes_path(self) -> bool:
        """Whether the service sees another path."""
        return self.prefix is not None or self.path is not None or self.regex is not None

    @model_validator(mode="after")
    def _changes_something(self) -> RewriteSettings:
        given = [name for name in ("prefix", "path", "regex") if getattr(self, name) is not None]
        if len(given) > 1:
            raise ValueError(f"`{given[0]}` and `{given[1]}` exclude each other")
        if not given and self.host is None:
            raise ValueError("one of `prefix`, `path` and `regex` is needed, or `host`")
        if (self.regex is None) != (self.to is None):
            raise ValueError("`regex` and `to` belong together")
        return self
