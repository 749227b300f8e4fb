"""From settings to what conditions look at beside the request."""

from __future__ import annotations

import time

from gateway.rules.fields import Claims
from gateway.rules.signer import CookieSigner
from gateway.rules.surroundings import Place, Surroundings, no_claims
from gateway.settings import GatewaySettings, ServingSettings, SidecarSettings, TokenSettings


def make_surroundings(settings: ServingSettings) -> Surroundings:
    """Of an entry gateway or a sidecar. Raises ValueError or OSError where a token's key cannot be read any more."""
    if isinstance(settings, SidecarSettings):
        return Surroundings(time.time, place=Place(settings.service, is_entry=False))
    if not isinstance(settings, GatewaySettings):
        return Surroundings(time.time)
    sticky = settings.sticky
    return Surroundings(
        time.time,
        no_claims if settings.jwt is None else _token_reader(settings.jwt),
        None if sticky is None else CookieSigner(sticky.cookie, sticky.secret, time.time),
        Place(settings.name),
    )


def _token_reader(settings: TokenSettings) -> Claims:
    from gateway.claims.tokens import TokenReader  # it brings cryptography along: only who has tokens pays for it

    return TokenReader(settings)
