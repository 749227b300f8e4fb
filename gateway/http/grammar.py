"""The grammar of HTTP/1.1 heads (RFC 9112 §2–§5, RFC 9110 §5), as the regular expressions that accept their lines.

Possessive quantifiers: a match is linear and never backtracks. What is not accepted is refused; `malformed` then looks
again, slowly, to say why.
"""

from __future__ import annotations

import re
from typing import Final

from gateway.errors import ProtocolError

TOKEN: Final = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]"
VALUE: Final = rb"[\t -~\x80-\xff]"

# A path with nothing to normalise or to refuse: no escapes, empty or dot-led segments, backslashes or fragments.
_PLAIN: Final = rb"!\"$&-\-0->@-\[\]-~"
_PLAIN_PATH: Final = rb"(?:/|(?:/[" + _PLAIN + rb"][." + _PLAIN + rb"]*+)++/?+)"
_PLAIN_QUERY: Final = rb"[!\"$-~]*+"

REQUEST_LINE: Final = re.compile(
    rb"(" + TOKEN + rb"++) ((" + _PLAIN_PATH + rb")(?:\?(" + _PLAIN_QUERY + rb"))?(?= )|[!-~]++) HTTP/1\.([01])"
)
"""Groups: method, whole target, then path and query where the path is plain, and the minor version."""
STATUS_LINE: Final = re.compile(rb"HTTP/1\.([01]) ([1-5][0-9][0-9])(?: " + VALUE + rb"*+)?")
"""Groups: the minor version, the status (RFC 9110 §15: 100 to 599)."""

_LONE_LF: Final = re.compile(rb"(?<!\r)\n")
_LONE_CR: Final = re.compile(rb"\r(?!\n|\Z)")
_ANY_REQUEST_LINE: Final = re.compile(rb"(" + TOKEN + rb"++) ([!-~]++) HTTP/([0-9])\.([0-9])")
_FIELD_LINE: Final = re.compile(TOKEN + rb"++:" + VALUE + rb"*+")
_TOKENS: Final = re.compile(TOKEN + rb"++")


def field_pattern(names: bytes) -> re.Pattern[bytes]:
    """A pattern that finds field lines in an accepted head: group 1 is the name, group 2 the value without leading OWS.

    `names` is a regular expression for the names, matched without regard to case. Search from the end of the first line.
    """
    return re.compile(rb"\r\n(" + names + rb"):[ \t]*+([^\r]*+)", re.IGNORECASE)


def check_partial(data: bytes, start: int = 0) -> None:
    """Refuses at once what can never become a head, so that it does not sit there until the head timeout.

    Only what stands from `start` on is new and looked at. Raises ProtocolError.
    """
    seen = max(0, start - 1)
    if _LONE_LF.search(data, seen) is not None:
        raise ProtocolError(400, "bad_line_end", "a line ends with a bare LF")
    if _LONE_CR.search(data, seen) is not None:
        raise ProtocolError(400, "bad_line_end", "a CR without LF")
    if data.find(b"\0", start) >= 0:
        raise ProtocolError(400, "bad_character", "a NUL byte")
    end_of_line = data.find(b"\r\n")
    if end_of_line >= seen:
        _check_request_line(data[:end_of_line])
    elif not start and _TOKENS.match(data) is None:
        raise ProtocolError(400, "bad_request_line", "this is not HTTP/1.1")


def malformed(head: bytes) -> ProtocolError:
    """Why a head that ends with an empty line was not accepted."""
    try:
        check_partial(head)
        for line in head[:-4].split(b"\r\n")[1:]:
            if line[:1] in (b" ", b"\t"):
                return ProtocolError(400, "obs_fold", "a field value continues on a second line")
            if _FIELD_LINE.fullmatch(line) is None:
                return ProtocolError(400, "bad_field", "a field line is not `name: value`, or has a control character")
    except ProtocolError as error:
        return error
    return ProtocolError(400, "bad_request", "the head is malformed")


def _check_request_line(line: bytes) -> None:
    match = _ANY_REQUEST_LINE.fullmatch(line)
    if match is None or match[3] == b"0":
        raise ProtocolError(400, "bad_request_line", "the request line is not `METHOD target HTTP/1.1`")
    if match[3] != b"1":
        raise ProtocolError(505, "bad_version", "only HTTP/1.1 and HTTP/1.0 are spoken here")
    if match[4] not in b"01":
        raise ProtocolError(505, "bad_version", "only HTTP/1.1 and HTTP/1.0 are spoken here")
