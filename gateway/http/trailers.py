"""Trailers (RFC 9110 §6.5): which of them are passed on, in both directions and whatever is spoken on either side.

Some programs put trailers among the fields of the head. So no trailer may say what only the head may, or what a proxy has taken
out of the head (CVE-2013-5704, RFC 9110 §7.6.1). Anything else is between the two ends.
"""

from __future__ import annotations

from collections.abc import Container, Sequence
from typing import Final

from gateway.http.lines import FOLD

Hidden = Sequence[Container[bytes]]
"""Names (lower-case) of fields that a message does not have any more, as lists that were made in several places."""

NEVER: Final = frozenset(
    {
        # What frames a message or says how its content is to be read.
        b"content-encoding", b"content-length", b"content-range", b"content-type", b"transfer-encoding", b"trailer", b"te",
        # What modifies a request (RFC 9110 §10.1 and §13.1), and what controls a response (§10.2).
        b"cache-control", b"expect", b"max-forwards", b"pragma", b"range", b"if-match", b"if-none-match", b"if-modified-since",
        b"if-unmodified-since", b"if-range", b"age", b"date", b"expires", b"location", b"retry-after", b"vary", b"warning",
        # Whither a request goes, and on whose behalf (§11, RFC 6265).
        b"host", b"authorization", b"proxy-authorization", b"www-authenticate", b"proxy-authenticate", b"authentication-info",
        b"proxy-authentication-info", b"cookie", b"set-cookie", b"origin", b"referer",
        b"x-http-method", b"x-http-method-override", b"x-method-override",
    }
)  # fmt: skip
"""Fields that are no trailers, whatever a reader makes of them (RFC 9110 §6.5.1, and the list of RFC 7230 §4.1.2)."""


def may_trail(line: bytes, hidden: Hidden | None) -> bool:
    """Whether a field line without a meaning for this program may be a trailer of a message that has lost `hidden` on the way."""
    name = line[: line.find(b":")].lower()
    folded = name.translate(FOLD)
    if folded in NEVER:
        return False
    return hidden is None or all(name not in names and folded not in names for names in hidden)
