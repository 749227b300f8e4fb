"""Request targets: what the router and the lane rules read out of one, and what they refuse to guess about.

The raw target is what gets forwarded; matching works on a normalised *copy* of its path (RFC 3986 §6.2.2):

* percent-encoded unreserved characters are decoded, other escapes keep their meaning with upper-case hex (`%2f` stays
  `%2F`: it never becomes a separator), and repeated slashes count as one;
* dot segments, plain or encoded, also as `..;`, are refused. Clients collapse them before they send (RFC 3986 §5.2.4), so
  one that arrives is somebody trying to make the router and the service see two different paths;
* paths are case-sensitive.
"""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import unquote_to_bytes

from gateway.errors import ProtocolError
from gateway.failures import BAD_TARGET

PLUS: Final = 0x2B
PERCENT: Final = 0x25
EQUALS: Final = 0x3D
AMPERSAND: Final = 0x26
"""As numbers: `byte in data` is a plain search, `b"+" in data` first fails to make a number of its left side."""

_UNRESERVED: Final = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
_HEX: Final = "0123456789abcdefABCDEF"
_ESCAPES: Final[dict[bytes, bytes]] = {
    (high + low).encode(): bytes([int(high + low, 16)])
    if int(high + low, 16) in _UNRESERVED
    else f"%{high}{low}".upper().encode()
    for high in _HEX
    for low in _HEX
}
"""What each escape's two digits stand for in a path that is matched."""
_DOT_SEGMENT: Final = re.compile(rb"/\.{1,2}(?:;[^/]*)?(?=/|$)")
_SPECIAL: Final = frozenset("&=%+ ")
_SLASHES: Final = re.compile(rb"/{2,}")


def match_path(raw: bytes) -> str:
    """The path that routes and rules match, from the raw path of a target (no query).

    Raises ProtocolError (400) for a path that cannot be matched safely.
    """
    if b"\\" in raw or b"#" in raw:
        raise ProtocolError(BAD_TARGET, "the path contains a backslash or a fragment")
    if b"%" in raw:
        raw = _unescape(raw)
    if b"/." in raw and _DOT_SEGMENT.search(raw) is not None:
        raise ProtocolError(BAD_TARGET, "the path contains dot segments")
    if b"//" in raw:
        raw = _SLASHES.sub(b"/", raw)
    return raw.decode("ascii")


def _unescape(raw: bytes) -> bytes:
    pieces = raw.split(b"%")
    out = [pieces[0]]
    for piece in pieces[1:]:
        digits = piece[:2]
        text = _ESCAPES.get(digits)
        if text is None:
            raise ProtocolError(BAD_TARGET, "the path contains a percent sign that is not an escape")
        if digits == b"00":
            raise ProtocolError(BAD_TARGET, "the path contains an encoded NUL")
        out.append(text)
        out.append(piece[2:])
    return b"".join(out)


def raw_rest(raw: bytes, prefix: bytes, segments: int) -> bytes:
    """The raw path behind the route's `prefix`, as the service will see it: it starts with `/`.

    Where the raw path is spelt unlike the prefix it matched (`//A/a`, `/%41/a`), the prefix's `segments` are counted off.
    """
    if raw.startswith(prefix):
        return raw[len(prefix) :] or b"/"
    position = 0
    for _ in range(segments):
        while raw[position : position + 1] == b"/":
            position += 1
        end = raw.find(b"/", position)
        position = len(raw) if end < 0 else end
    return raw[position:] or b"/"


class PathChange:
    """Another path in place of a request's: `value` is a whole one (`is_whole`), or stands for the prefix of the route."""

    __slots__ = ("is_whole", "value")

    def __init__(self, value: bytes, is_whole: bool) -> None:
        self.is_whole = is_whole
        self.value: bytes = (value if is_whole else value.rstrip(b"/")) or (b"/" if is_whole else b"")

    @property
    def replaces_prefix(self) -> bool:
        """Whether what is below the prefix stays."""
        return not self.is_whole

    def apply(self, raw: bytes, prefix: bytes) -> bytes:
        """The raw path that the service, or the client, is to see instead of `raw`, which is under `prefix`."""
        if self.is_whole:
            return self.value
        if prefix == b"/":
            rest = raw
        elif raw.startswith(prefix):
            rest = raw[len(prefix) :]
        else:
            rest = raw_rest(raw, prefix, prefix.count(b"/"))
        return self.value + rest or b"/"


def parse_query(query: bytes) -> dict[str, str]:
    """Parameter values by name, the first value where a name repeats.

    Names and values are decoded once: `+` is a space, percent escapes are UTF-8, bytes that are not UTF-8 become U+FFFD
    (WHATWG URL §5.1). A name without `=` has the empty value. Only `&` separates.
    """
    parameters: dict[str, str] = {}
    plain = PLUS not in query and PERCENT not in query
    for part in query.split(b"&"):
        if part:
            name, _, value = part.partition(b"=")
            key = name.decode("utf-8", "replace") if plain else _decode(name)
            if key not in parameters:
                parameters[key] = value.decode("utf-8", "replace") if plain else _decode(value)
    return parameters


def parameter_needle(name: str) -> bytes:
    """What `find_parameter` looks for, empty where the name can be in a query only with escapes."""
    return b"&" + name.encode("ascii") if name and name.isascii() and _SPECIAL.isdisjoint(name) else b""


def find_parameter(query: bytes, needle: bytes) -> str | None:
    """The value that `parse_query` would give one parameter of a query without escapes, or None."""
    _, found, rest = (b"&" + query + b"&").partition(needle)
    while found:
        following = rest[0]
        if following == EQUALS:
            return rest[1:].partition(b"&")[0].decode("utf-8", "replace")
        if following == AMPERSAND:
            return ""
        _, found, rest = rest.partition(needle)
    return None


def _decode(text: bytes) -> str:
    if b"+" in text:
        text = text.replace(b"+", b" ")
    if b"%" in text:
        text = unquote_to_bytes(text)
    return text.decode("utf-8", "replace")


def parse_cookies(value: bytes) -> dict[str, str]:
    """Cookie values by name (RFC 6265 §5.4), the first where a name repeats, as sent: nothing is decoded.

    Names and values are UTF-8, as browsers send them, without surrounding white space. A value in double quotes loses them.
    """
    cookies: dict[str, str] = {}
    for part in value.split(b";"):
        name, equals, content = part.partition(b"=")
        key = name.strip(b" \t").decode("utf-8", "replace")
        if equals and key not in cookies:
            content = content.strip(b" \t")
            if len(content) >= 2 and content[:1] == b'"' == content[-1:]:
                content = content[1:-1]
            cookies[key] = content.decode("utf-8", "replace")
    return cookies
