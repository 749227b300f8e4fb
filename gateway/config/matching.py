"""From settings to the match environment."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from gateway.rules.environment import MatchEnvironment, Place, no_claims
from gateway.rules.fields import Claims
from gateway.rules.signer import CookieSigner
from gateway.settings import ServingSettings

if TYPE_CHECKING:
    from gateway.settings.identity import TokenSettings


def make_environment(settings: ServingSettings) -> MatchEnvironment:
    """Of an entry gateway or a sidecar. Raises ValueError or OSError if a token's key cannot be read any more."""
    tokens, cookie = settings.token_settings, settings.cookie_settings
    return MatchEnvironment(
        time.time,
        no_claims if tokens is None else _token_reader(tokens),
        None if cookie is None else CookieSigner(cookie.cookie, cookie.secret, time.time),
        Place(settings.place_name, settings.is_entry),
    )


def _token_reader(settings: TokenSettings) -> Claims:
    from gateway.claims.tokens import TokenReader  # it brings cryptography along: only who has tokens pays for it

    return TokenReader(settings)
