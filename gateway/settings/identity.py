"""Identity: the tokens that the gateway reads, the cookies that it signs, the people who may debug."""

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
    """The only algorithm accepted with this key. Default: the JWK's."""


class TokenSettings(Model):
    """The tokens that `jwt` conditions read (RFC 7519)."""

    header: TokenHeader = "authorization"
    """The header that has the token, after `Bearer` or alone."""
    keys: list[TokenKeySettings] = Field(default_factory=list)
    """Tokens signed with one of these keys are accepted."""
    verify: bool = True
    """false: use claims without verifying the signature, if a proxy in front has verified it."""
    issuer: str | None = None
    """The only issuer (`iss`) accepted. Default: any."""
    audience: str | None = None
    """The audience (`aud`) that the token must contain. Default: any."""
    leeway: Duration = 30.0
    """The tolerated clock difference, for `exp` and `nbf`."""

    @model_validator(mode="after")
    def _can_verify(self) -> TokenSettings:
        if self.verify and not self.keys:
            raise ValueError(
                "keys: at least one key is needed to verify signatures; `verify: false` accepts every token"
            )
        return self


class StickySettings(Model):
    """The cookie of lanes that are `sticky`."""

    secret: Secret
    """The key that signs the cookie, so that nobody can forge one: 16 characters or more, the same on every gateway. Take it
    from the environment: `${GRAY_STICKY_SECRET}`."""
    cookie: CookieName = "gray-lane"
    """The cookie's name."""


class DebugSettings(Model):
    """The header with which authorized people request the decision, or choose a lane."""

    secret: Secret
    """The secret that the header must contain: 16 characters or more. Take it from the environment: `${GRAY_DEBUG_SECRET}`."""
    header: DebugHeader = "x-gray-debug"
    """The header's name. `SECRET` asks for `X-Gray-Explain` in the response, `SECRET; lane=GROUP/NAME` also chooses a lane
    that allows it. The header is never forwarded."""
