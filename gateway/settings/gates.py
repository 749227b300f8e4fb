"""What a request must pass at the entry: clients by address, CORS, rate limits."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator, Field, model_validator

from gateway.settings.changes import MatchedHeader, Method
from gateway.settings.fields import MAX_DURATION, Duration, Model, Network, Parameter, PositiveDuration

_Token = Annotated[str, Field(pattern=r"^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$", max_length=256)]
_ORIGIN = re.compile(r"https?://(\*\.)?([0-9a-z_-]+(\.[0-9a-z_-]+)*|\[[0-9a-f:.]+\])(:[0-9]{1,5})?")


def _check_origin(text: str) -> str:
    origin = text.lower()
    if origin == "*":
        return origin
    if _ORIGIN.fullmatch(origin) is None:
        raise ValueError(
            "an origin is scheme://host or scheme://host:port as browsers send it, scheme://*.host for all below a host, or *; "
            f"found {text!r}"
        )
    usual = {"http": ":80", "https": ":443"}[origin.partition(":")[0]]
    if origin.endswith(usual):
        raise ValueError(f"browsers leave {usual} out of an origin; found {text!r}")
    return origin


Origin = Annotated[str, AfterValidator(_check_origin)]


class KeySettings(Model):
    """What clients are told apart by."""

    cookie: _Token | None = None
    """The cookie of this name."""
    header: _Token | None = None
    """The header field of this name."""
    param: Parameter | None = None
    """The query parameter of this name."""
    client_ip: bool = False
    """The client's address."""

    @model_validator(mode="after")
    def _is_one(self) -> KeySettings:
        if sum((bool(self.cookie), bool(self.header), bool(self.param), self.client_ip)) != 1:
            raise ValueError("exactly one of `cookie`, `header`, `param` and `client_ip: true` is needed")
        return self

    @property
    def key(self) -> tuple[str, str]:
        """The source of conditions, and its name."""
        for source in ("cookie", "header", "param"):
            name = getattr(self, source)
            if name:
                return source, name
        return "client_ip", ""


class AccessSettings(Model):
    """Which clients are served, by address: what they are, as far as proxies in `trusted` say so."""

    allow: list[Network] = Field(default_factory=list)
    """Only these. Empty: all."""
    deny: list[Network] = Field(default_factory=list)
    """Not these, whatever `allow` says."""


class CorsSettings(Model):
    """What pages of other origins may do with a route."""

    origins: list[Origin] = Field(min_length=1)
    """Whose pages may use it: `https://shop.example`, `https://*.shop.example`, or `*` for all."""
    methods: list[Method] = Field(default=["GET", "HEAD", "POST"], min_length=1)
    """With which methods."""
    headers: list[MatchedHeader] = Field(default_factory=list)
    """Which header fields they may send, beside those that any page may; `*` for all."""
    expose: list[MatchedHeader] = Field(default_factory=list)
    """Which header fields of responses they may read, beside those that any page may."""
    credentials: bool = False
    """Whether requests may have cookies and other credentials."""
    max_age: Duration = 600.0
    """For how long browsers remember the response to a preflight."""

    @model_validator(mode="after")
    def _is_not_open(self) -> CorsSettings:
        if self.credentials and "*" in self.origins:
            raise ValueError(
                "`credentials` with the origin `*` would let every page act for its visitor: name the origins"
            )
        if "*" in self.origins and len(self.origins) > 1:
            raise ValueError("the origin `*` covers all others")
        if "*" in self.headers and len(self.headers) > 1:
            raise ValueError("the header `*` covers all others")
        return self


class RateLimitSettings(Model):
    """How many requests are served, for each client or whatever else is told apart."""

    rate: int = Field(ge=1, le=1_000_000)
    """How many requests in `per`."""
    per: PositiveDuration = 1.0
    """The time in which they may come."""
    burst: int | None = Field(default=None, ge=1, le=1_000_000)
    """How many may come at once. Default: `rate`."""
    by: KeySettings = KeySettings(client_ip=True)
    """What is told apart. Requests without it are counted by the client's address."""

    @model_validator(mode="after")
    def _fills_in_time(self) -> RateLimitSettings:
        if (self.burst or self.rate) * self.per / self.rate > MAX_DURATION:
            raise ValueError(f"`burst` would be there again only after more than {MAX_DURATION / 86_400:g} days")
        return self
