"""Cookies that the entry gateway gives to clients."""

from __future__ import annotations


def cookie_line(name: str, value: str, is_secure: bool, age: int = 0) -> bytes:
    """A Set-Cookie field (RFC 6265 §4.1), led by CRLF. Scripts have no use for it.

    `is_secure`: the client came by https. `age` is in seconds; 0: until the browser is closed.
    """
    lasts = f"; Max-Age={age}" if age else ""
    line = f"\r\nSet-Cookie: {name}={value}; Path=/{lasts}; HttpOnly; SameSite=Lax"
    return (line + "; Secure" if is_secure else line).encode("ascii")
