"""The token that a request shows (RFC 6750 §2.1)."""

from __future__ import annotations

import hmac

from aiohttp import web


def bearer(request: web.Request) -> bytes:
    """What follows `Bearer` in its Authorization; empty if nothing does."""
    scheme, _, given = request.headers.get("Authorization", "").partition(" ")
    return given.strip().encode("utf-8", "surrogateescape") if scheme.lower() == "bearer" else b""


def is_token(given: bytes, known: str) -> bool:
    """Whether it is the known one, found out in the same time whatever it is."""
    return hmac.compare_digest(given, known.encode())
