"""The form in which a request has the values of each field, and what becomes of a rule's text in it.

A text that no value can ever be, or begin with, would make a condition that never holds, without a word. So every text of
a rule is brought into the form of the values it is compared with where its meaning is beyond doubt, and refused otherwise.
`docs/rules.md` has the table; which source has which form is in `sources.SOURCES`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from ipaddress import IPv6Network, ip_network
from typing import Final, Literal
from urllib.parse import quote

from gateway.errors import ProtocolError
from gateway.http.authority import host_of
from gateway.http.target import match_path
from gateway.tags import is_tag

Part = Literal["whole", "start", "end", "inside"]
"""What of a value a text is compared with."""

_VISIBLE: Final = "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~"
_ESCAPE: Final = re.compile(r"%([0-9A-Fa-f]{2})")
_UNRESERVED: Final = re.compile(r"[0-9A-Za-z._~-]")
_TOKEN: Final = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_CONTROL: Final = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_CALL_NAME: Final = re.compile(r"[A-Za-z0-9_.~!$&'()*+,;=:@-]+")
_SERVICE: Final = re.compile(r"[0-9A-Za-z@._:-]{1,255}")
_TAG: Final = re.compile(r"[0-9A-Za-z._-]{0,63}")
_LABELS: Final = r"(?:[0-9a-z_~-]|\.(?!\.))*"
_HOSTS: Final[Mapping[Part, re.Pattern[str]]] = {
    "start": re.compile(r"(?!\.)" + _LABELS + r"|\[[0-9a-f:.]*\]?"),
    "end": re.compile(_LABELS + r"|\[?[0-9a-f:.]*\]"),
    "inside": re.compile(_LABELS + r"|\[?[0-9a-f:.]*\]?"),
}
"""Parts of hosts; whole ones are read as the listener reads them."""


def check_characters(text: str) -> str:
    """Returns the text. Raises ValueError if it holds half a character: what a request says never does."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError(f"{text!r} contains a lone surrogate, which is not a character") from None
    return text


def path_pattern(pattern: str, ignore_case: bool) -> None:
    """Raises ValueError for a pattern with a part that no path can match."""
    _check_ascii("path", pattern, "percent-encoded (%E5%95%86)")
    for found in _ESCAPE.finditer(pattern):
        letter = chr(int(found[1], 16))
        if _UNRESERVED.fullmatch(letter):
            raise ValueError(f"path: {found[0]} is decoded in a path: write {letter} in {pattern!r}")
        if found[1] != found[1].upper() and not ignore_case and "(?i" not in pattern:
            raise ValueError(f"path: escapes are in upper case in a path: write {found[0].upper()} in {pattern!r}")


def host_pattern(pattern: str, _: bool) -> None:
    """Raises ValueError for a pattern with a part that no host can match."""
    _check_ascii("host", pattern, "ASCII (xn--…)")


def method_pattern(pattern: str, _: bool) -> None:
    """Raises ValueError for a pattern with a part that no method can match."""
    _check_ascii("method", pattern, "ASCII")


def _check_ascii(source: str, pattern: str, written: str) -> None:
    if not pattern.isascii():
        raise ValueError(f"{source}: {pattern!r} has characters that are not ASCII, and a {source} is {written}")


def path(text: str, part: Part) -> str:
    """As the listener reads it: what is not ASCII is percent-encoded, escapes are in their normal form (RFC 3986 §6.2.2)."""
    if part in ("whole", "start") and text[:1] != "/" and text != "*" and (text or part == "whole"):
        raise ValueError(f"path: a path starts with '/', so {text!r} can never be one")  # OPTIONS * has the asterisk
    if "?" in text:
        raise ValueError(
            f"path: the query is not part of the path, so {text!r} can never be one; a parameter is `param`"
        )
    raw = quote(text, safe=_VISIBLE).encode("ascii")
    # A letter stands for what may be beside a part: `/.` may begin `/.well-known`, and `..` may end `/a..`.
    before = b"" if part in ("whole", "start") else b"x"
    after = b"" if part in ("whole", "end") else b"x"
    try:
        read = match_path(before + raw + after)
    except ProtocolError as error:
        raise ValueError(f"path: {text!r} can never be one: {error.detail}") from error
    return read[len(before) : len(read) - len(after)]


def host(text: str, part: Part) -> str:
    """A host in lower case. Raises ValueError for what none can be."""
    read = text.lower()
    if part == "whole" and (":" not in read or read.endswith("]")):
        with suppress(ProtocolError, UnicodeEncodeError):
            return host_of(read.encode("ascii"))
    if part == "end" and len(read) > 1:
        read = read.removesuffix(".")  # so do hosts
    if part != "whole" and _HOSTS[part].fullmatch(read):
        return read
    if "*" in read:
        hint = "there are no wildcards; write {host: {suffix: .example}} for all below example"
    elif not read.isascii():
        hint = "it is compared as it is sent, in ASCII (xn--…)"
    elif ":" in read and "/" not in read:
        hint = "the port is left out (and IPv6 in brackets)"
    else:
        hint = "it is a name or an address, such as shop.example or [::1], without scheme, port and path"
    raise ValueError(f"host: {hint}, so {text!r} can never be a host")


def method(text: str, part: Part) -> str:
    """A method in upper case. Raises ValueError for what none can be."""
    if _TOKEN.fullmatch(text) is None and (text or part == "whole"):
        raise ValueError(f"method: a method is one word, such as GET, so {text!r} can never be one")
    return text.upper()


def header(text: str, part: Part) -> str:
    """A header's value, which is not changed. Raises ValueError for what none can be."""
    if _CONTROL.search(text):
        raise ValueError(
            f"header: a field's value has no line breaks and control characters, so {text!r} can never be one"
        )
    _check_space("header", text, part)
    return text


def cookie(text: str, part: Part) -> str:
    """A cookie's value, which is not changed. Raises ValueError for what none can be."""
    if ";" in text or _CONTROL.search(text):
        raise ValueError(
            f"cookie: a cookie's value has no semicolons, line breaks and control characters, so {text!r} can never be one"
        )
    _check_space("cookie", text, part)
    if part == "whole" and len(text) >= 2 and text[0] == '"' == text[-1]:
        raise ValueError(f"cookie: values are compared without the double quotes around them; write {text[1:-1]!r}")
    return text


def _check_space(source: str, text: str, part: Part) -> None:
    begins = part in ("whole", "start") and text[:1] in (" ", "\t")
    if text and (begins or (part in ("whole", "end") and text[-1] in " \t")):
        raise ValueError(f"{source}: values are compared without white space around them, so {text!r} can never be one")


def address(text: str, _: Part) -> str:
    """IPv4 in IPv6 (`::ffff:10.0.0.1`, RFC 4291 §2.5.5.2) is IPv4."""
    try:
        network = ip_network(text, strict=False)
    except ValueError as error:
        raise ValueError(f"client_ip: {text!r} is neither an address nor a network") from error
    if isinstance(network, IPv6Network) and network.prefixlen >= 96:
        mapped = network.network_address.ipv4_mapped
        if mapped is not None:
            return f"{mapped}/{network.prefixlen - 96}".removesuffix("/32")
    return text


def call_name(source: str) -> Callable[[str, Part], str]:
    """Reads the name of a service or a method of gRPC, which is not changed; it raises ValueError for what none can be."""

    def read(text: str, part: Part) -> str:
        if _CALL_NAME.fullmatch(text) is None and (text or part == "whole"):
            raise ValueError(
                f"{source}: a name of gRPC is letters, digits, '_', '.' and the like, without slashes, so {text!r} can never "
                "be one"
            )
        return text

    return read


def service(source: str) -> Callable[[str, Part], str]:
    """Reads the name of a service, which is not changed; it raises ValueError for what none can be."""

    def read(text: str, part: Part) -> str:
        if _SERVICE.fullmatch(text) is None and (text or part == "whole"):
            raise ValueError(
                f"{source}: a service's name is 1 to 255 letters, digits, '.', '_', '-', ':' or '@', so {text!r} can never "
                "be one"
            )
        return text

    return read


def tag(text: str, part: Part) -> str:
    """A tag, which is not changed. Raises ValueError for what none can be."""
    if not (is_tag(text) if part == "whole" else _TAG.fullmatch(text)):
        raise ValueError(
            f"caller_tag: a tag is 1 to 63 letters, digits, '.', '_' or '-', starting with a letter or digit, so {text!r} "
            "can never be one"
        )
    return text
