"""Whom the gateway knows: tokens it can read, cookies it signs, people who may ask why."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from gateway.settings.fields import CookieName, DebugHeader, Duration, FileName, Model, Secret, TokenHeader


class TokenKeySettings(Model):
    """A key that signs tokens."""

    file: FileName
    """A JWK or a JWK set, a public key in PEM, or a shared secret; relative to this file."""
    algorithm: (
        Literal["RS256", "RS384", "RS512", "PS256", "ES256", "ES384", "ES512", "EdDSA", "HS256", "HS384", "HS512"]
        | None
    ) = None
    """The only algorithm accepted with it; left out: what the JWK says."""


class TokenSettings(Model):
    """The tokens that `jwt` conditions read (RFC 7519)."""

    header: TokenHeader = "authorization"
    """The header that has the token, behind `Bearer` or alone."""
    keys: list[TokenKeySettings] = Field(default_factory=list)
    """Tokens signed with one of these are accepted."""
    verify: bool = True
    """false: claims are believed without a look at the signature. For when a proxy in front has checked it."""
    issuer: str | None = None
    """The only issuer (`iss`) accepted; left out: any."""
    audience: str | None = None
    """The audience (`aud`) that must be among the token's; left out: any."""
    leeway: Duration = 30.0
    """How far clocks may be apart, for `exp` and `nbf`."""

    @model_validator(mode="after")
    def _can_verify(self) -> TokenSettings:
        if self.verify and not self.keys:
            raise ValueError("keys: without a key no signature can be checked; `verify: false` believes every token")
        return self


class StickySettings(Model):
    """The cookie of lanes that are `sticky`."""

    secret: Secret
    """Signs the cookie, so that nobody writes one: 16 characters or more, the same on every gateway. Take it from the
    environment: `${GRAY_STICKY_SECRET}`."""
    cookie: CookieName = "gray-lane"
    """The cookie's name."""


class DebugSettings(Model):
    """The header with which authorised people ask why, or choose a lane."""

    secret: Secret
    """What the header must say: 16 characters or more. Take it from the environment: `${GRAY_DEBUG_SECRET}`."""
    header: DebugHeader = "x-gray-debug"
    """The header's name. `SECRET` asks for `X-Gray-Explain` in the answer, `SECRET; lane=GROUP/NAME` also chooses a lane
    that allows it. It is never forwarded."""
