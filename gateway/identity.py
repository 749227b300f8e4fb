"""Who a certificate says its holder is, and the patterns that such names are compared with.

In a mesh an instance is an address that a registry gave, so that no host name can be verified. What can be is a URI in the
certificate (a SPIFFE ID) or a DNS name, which a pattern derives from the service's name.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

SERVICE: Final = "{service}"
"""Where a pattern has the service's name."""

_SPIFFE: Final = "spiffe://"
_WILD: Final = re.compile(r"(\*\*|\*|\{service\})")
_URI: Final = re.compile(r"spiffe://(?P<domain>[a-z0-9._\-]{1,255})(?:/(?:[A-Za-z0-9._\-*]|\{service\})+)*")
_NAME: Final = re.compile(r"(?:[A-Za-z0-9_\-*]|\{service\})+(?:\.(?:[A-Za-z0-9_\-*]|\{service\})+)*")


class IdentityPattern:
    """What an identity has to look like: a SPIFFE ID or a DNS name.

    `*` stands for characters within one segment of a path or one label of a name, `**` for any; `{service}` for the name of the
    service that the pattern was made for. Raises ValueError if `text` is neither.
    """

    __slots__ = ("_regex", "is_name", "text")

    def __init__(self, text: str, service: str = "") -> None:
        check_pattern(text)
        self.is_name = not text.startswith(_SPIFFE)
        if self.is_name:  # case does not matter in DNS
            text, service = text.lower(), service.lower()
        self.text = text.replace(SERVICE, service)
        # Nothing that would mean something in a field or a log: a certificate may hold any text.
        some = "[A-Za-z0-9_*-]" if self.is_name else "[A-Za-z0-9._-]"
        stands_for = {"*": f"{some}+", "**": f"(?:{some}|[./])+", SERVICE: re.escape(service)}
        parts = _WILD.split(text)
        self._regex = re.compile("".join(stands_for[part] if part in stands_for else re.escape(part) for part in parts))

    def matches(self, identity: str) -> bool:
        """Whether an identity of `identities` looks like it."""
        name = identity.lower() if self.is_name else identity
        return identity.startswith(_SPIFFE) is not self.is_name and self._regex.fullmatch(name) is not None


def check_pattern(text: str) -> str:
    """The pattern itself. Raises ValueError if it is neither a SPIFFE ID nor a DNS name."""
    if (_URI if text.startswith(_SPIFFE) else _NAME).fullmatch(text) is None:
        raise ValueError(
            f"{text!r} is neither a SPIFFE ID like 'spiffe://mesh.example/{SERVICE}' nor a DNS name like '{SERVICE}.mesh.example'"
        )
    return text


def whole_domain(text: str) -> str:
    """The pattern of everybody in the trust domain of another pattern."""
    match = _URI.fullmatch(text)
    return f"{_SPIFFE}{match['domain']}/**" if match is not None else text.replace(SERVICE, "**")


def identities(certificate: Mapping[str, Any] | None) -> tuple[str, ...]:
    """Who the holder of a certificate is, as `SSLObject.getpeercert` describes it: its SPIFFE ID first, then its DNS names.

    A certificate that has a SPIFFE ID and any other URI is nobody's (X509-SVID §2: exactly one URI).
    """
    names: Sequence[tuple[str, str]] = (certificate or {}).get("subjectAltName", ())
    uris = [value for kind, value in names if kind == "URI"]
    if any(uri.startswith(_SPIFFE) for uri in uris) and len(uris) > 1:
        return ()
    return (
        *(uri for uri in uris if uri.startswith(_SPIFFE)),
        *(value for kind, value in names if kind == "DNS" and not value.startswith(_SPIFFE)),
    )


def first_match(patterns: Sequence[IdentityPattern], names: Sequence[str]) -> str:
    """The first of the names that looks like one of the patterns, empty if none does."""
    return next((name for name in names if any(pattern.matches(name) for pattern in patterns)), "")
