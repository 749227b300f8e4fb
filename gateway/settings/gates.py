"""What a request must pass at the entry: clients by address, CORS, rate limits, passwords, an authorization service."""

from __future__ import annotations

import re
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, model_validator

from gateway.settings.balancing import KeySettings
from gateway.settings.changes import EditedHeader, MatchedHeader, Method
from gateway.settings.fields import (
    MAX_DURATION,
    Duration,
    FileName,
    Host,
    Model,
    Network,
    PositiveDuration,
    header_name,
)

_ORIGIN = re.compile(r"https?://(\*\.)?([0-9a-z_-]+(\.[0-9a-z_-]+)*|\[[0-9a-f:.]+\])(?::([1-9][0-9]{0,4}))?")


def _check_origin(text: str) -> str:
    origin = text.lower()
    if origin == "*":
        return origin
    match = _ORIGIN.fullmatch(origin)
    if match is None or int(match[4] or 0) > 65535:
        raise ValueError(
            "an origin is scheme://host or scheme://host:port as browsers send it, scheme://*.host for all below a host, or *; "
            f"found {text!r}"
        )
    usual = {"http": ":80", "https": ":443"}[origin.partition(":")[0]]
    if origin.endswith(usual):
        raise ValueError(f"browsers leave {usual} out of an origin; found {text!r}")
    return origin


def _check_realm(text: str) -> str:
    if re.fullmatch(r"[ !#-\[\]-~]{1,128}", text) is None:
        raise ValueError(
            f"a realm is 1 to 128 printable ASCII characters without quotes and backslashes; found {text!r}"
        )
    return text


def _check_identity_header(text: str) -> str:
    """Where a service is told who somebody is: fields that only proxies may send, or an application's own."""
    name = header_name(text)
    if name in _NOT_GIVEN or name.startswith("x-gray-"):
        raise ValueError(f"header {name!r} has its own meaning, and cannot be given to a request")
    return text


def _check_asked_url(text: str) -> str:
    try:
        parts = urlsplit(text)
        is_sound = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0 and not parts.fragment
    except ValueError:
        is_sound = False
    if not is_sound or re.fullmatch(r"[!-~]+", text) is None:
        raise ValueError(f"an HTTP URL is accepted, such as http://auth.example:4181/verify; found {text!r}")
    if "@" in parts.netloc:
        raise ValueError("a URL with a password in it is not accepted")
    return text


_NOT_GIVEN = frozenset(
    {"cookie", "content-type", "content-encoding", "range", "origin", "access-control-request-method"}
)
"""Fields by which a request is read, or that the chain has looked at before."""
_GivenHeader = Annotated[EditedHeader, AfterValidator(_check_identity_header)]
_Realm = Annotated[str, AfterValidator(_check_realm)]
_AskedUrl = Annotated[str, AfterValidator(_check_asked_url)]
Origin = Annotated[str, AfterValidator(_check_origin)]


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
    by: KeySettings = KeySettings.model_construct(client_ip=True)
    """What is told apart. Requests without it are counted by the client's address."""

    @model_validator(mode="after")
    def _fills_in_time(self) -> RateLimitSettings:
        if (self.burst or self.rate) * self.per / self.rate > MAX_DURATION:
            raise ValueError(f"`burst` would be there again only after more than {MAX_DURATION / 86_400:g} days")
        return self


class BasicAuthSettings(Model):
    """Users with passwords (RFC 7617)."""

    users: FileName
    """A file with a line `NAME:HASH` for each user, as `htpasswd -B` writes it, relative to this file."""
    realm: _Realm = "Restricted"
    """What browsers call it when they ask for a password."""
    user_header: _GivenHeader = "X-Forwarded-User"
    """The field in which the service, and rules, get the user's name."""
    pass_credentials: bool = False
    """Whether the service gets the name and password as well."""


class ForwardAuthSettings(Model):
    """An authorization service that is asked about each request."""

    url: _AskedUrl
    """Where it is asked."""
    request_headers: list[EditedHeader] = Field(default=["authorization", "cookie", "accept", "user-agent"])
    """Which header fields of the request it gets, beside `X-Forwarded-*`."""
    response_headers: list[_GivenHeader] = Field(default_factory=list)
    """Which header fields of its response the request gets, for the service and for rules. A client's own are removed."""
    client_headers: list[EditedHeader] = Field(default_factory=list)
    """Which header fields of its response the client gets with the service's response, such as Set-Cookie."""
    timeout: PositiveDuration = 5.0
    """How long it may take. Requests about which it says nothing get 503."""
    ca: FileName | None = None
    """*https:* the CAs to trust, in PEM, relative to this file. Default: the system's."""
    cert: FileName | None = None
    """*https:* the certificate to show, and its intermediates, in PEM, if the service verifies its clients."""
    key: FileName | None = None
    """*https:* the certificate's private key, in PEM, without a password."""
    server_name: Host | None = None
    """*https:* the name sent (SNI) and verified. Default: the host of `url`."""

    @model_validator(mode="after")
    def _is_sound(self) -> ForwardAuthSettings:
        if (self.cert is None) != (self.key is None):
            raise ValueError("`cert` and `key` belong together")
        for names in (self.request_headers, self.response_headers, self.client_headers):
            folded = [name.lower() for name in names]
            for name in folded:
                if folded.count(name) > 1:
                    raise ValueError(f"header {name!r} is given twice")
        return self

    @property
    def is_secured(self) -> bool:
        """Whether it is asked over TLS."""
        return self.url.startswith("https:")

    @property
    def tls_files(self) -> list[str]:
        """The files that TLS needs."""
        return [file for file in (self.ca, self.cert, self.key) if file is not None and self.is_secured]


def _check_media_type(text: str) -> str:
    if re.fullmatch(r"[a-z]+/(\*|[a-z0-9][a-z0-9.+_-]*)", text) is None:
        raise ValueError(
            f"a media type in lower case is accepted, such as text/html, or text/* for all texts; found {text!r}"
        )
    if text.startswith("application/grpc"):
        raise ValueError("gRPC compresses its messages itself")
    return text


_MediaType = Annotated[str, AfterValidator(_check_media_type)]


class CompressSettings(Model):
    """Responses are compressed for clients that accept it."""

    codings: list[Literal["zstd", "gzip"]] = Field(default=["zstd", "gzip"], min_length=1)
    """With what, the preferred one first."""
    types: list[_MediaType] = Field(
        default=[
            "text/html", "text/css", "text/plain", "text/xml", "text/csv", "text/javascript", "application/javascript",
            "application/json", "application/problem+json", "application/ld+json", "application/manifest+json",
            "application/xml", "application/xhtml+xml", "application/rss+xml", "application/atom+xml", "image/svg+xml",
        ],
        min_length=1,
    )  # fmt: skip
    """Which media types; `text/*` is all texts."""
    min_bytes: int = Field(default=1024, ge=0, le=1_048_576)
    """A response that says that it is shorter is left as it is."""
