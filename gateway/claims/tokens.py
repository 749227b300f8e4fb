"""Tokens: how the claims that rules need are read out of a request (RFC 7519, signatures checked by PyJWT)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import jwt

from gateway import base64url
from gateway.claims.jwks import TokenKey, read_keys
from gateway.files import read_file
from gateway.http.content import read_json
from gateway.http.grammar import field_pattern
from gateway.rules.checks import NO_CLAIMS
from gateway.rules.context import MatchContext
from gateway.settings.identity import TokenSettings

MAX_TOKEN: Final = 8192
"""Characters of a token that is looked at; a longer one counts as none."""


class TokenReader:
    """Reads and verifies. Built with the configuration; holds keys, never tokens."""

    def __init__(self, settings: TokenSettings) -> None:
        """Raises ValueError or OSError if a key cannot be read."""
        self._settings = settings
        self._pattern = field_pattern(re.escape(settings.header.encode("ascii")))
        self._keys: list[TokenKey] = []
        for key in settings.keys:
            self._keys.extend(read_keys(read_file(Path(key.file)), key.algorithm))

    def __call__(self, context: MatchContext) -> Mapping[str, Any]:
        """The claims of the request's token; empty if there is none, or one that is not accepted. Never raises."""
        value = context.request.header(self._pattern)
        if value is None or len(value) > MAX_TOKEN:
            return NO_CLAIMS
        scheme, space, token = value.partition(" ")
        if space:
            if scheme.lower() != "bearer":
                return NO_CLAIMS
        else:
            token = value
        try:
            return self._claims(token)
        except Exception:  # noqa: BLE001 - a library reads what a stranger wrote: whatever it makes of that, it is not a token
            return NO_CLAIMS

    def _claims(self, token: str) -> Mapping[str, Any]:
        if not self._settings.verify:
            jwt.decode(token, options={"verify_signature": False})
            return _payload(token)
        key_id = jwt.get_unverified_header(token).get("kid")
        for key in self._keys:
            if (not key.id or not key_id or key.id == key_id) and self._is_signed(token, key):
                return _payload(token)
        return NO_CLAIMS

    def _is_signed(self, token: str, key: TokenKey) -> bool:
        """Whether a token is signed with a key, from whom it should be, for us, and in its time."""
        settings = self._settings
        try:
            jwt.decode(
                token,
                key.key,
                algorithms=[key.algorithm],
                audience=settings.audience,
                issuer=settings.issuer,
                leeway=settings.leeway,
                options={"verify_aud": settings.audience is not None},
            )
        except jwt.PyJWTError:
            return False
        return True


def _payload(token: str) -> Mapping[str, Any]:
    """The claims of a token that was accepted, read as bodies are: numbers stay the text that they are."""
    payload = token.split(".")[1]
    claims = read_json(base64url.decode(payload))
    return claims if isinstance(claims, dict) else NO_CLAIMS
