"""Keys for tests, as JWKs."""

from __future__ import annotations

import functools
import json
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa

SECRET = "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LXNlY3JldA"
"""A secret of 32 bytes, as an `oct` JWK has it."""


@functools.cache
def rsa_key() -> rsa.RSAPrivateKey:
    """A key of 2,048 bits, the same each time: to make one takes a good part of a second."""
    return rsa.generate_private_key(65537, 2048)


def jwk(key: Any, **members: Any) -> dict[str, Any]:
    """The key as a JWK."""
    kind = {rsa.RSAPrivateKey: "RS256", rsa.RSAPublicKey: "RS256", ed25519.Ed25519PublicKey: "EdDSA"}
    name = next((algorithm for type_, algorithm in kind.items() if isinstance(key, type_)), "ES256")
    return {**json.loads(jwt.get_algorithm_by_name(name).to_jwk(key)), **members}
