"""The grammar of HTTP/1.1 heads (RFC 9112 §2–§5, RFC 9110 §5), as the regular expressions that accept their lines.

Possessive quantifiers: a match is linear and never backtracks. What is not accepted is refused; `malformed` then looks
again, slowly, to say why.
"""

from __future__ import annotations

import re
from typing import Final

from gateway.errors import ProtocolError
from gateway.failures import (
    BAD_CHARACTER,
    BAD_FIELD,
    BAD_LINE_END,
    BAD_REQUEST,
    BAD_REQUEST_LINE,
    BAD_RESPONSE,
    BAD_VERSION,
    HEAD_TOO_LARGE,
    METHOD_TOO_LONG,
    OBS_FOLD,
    TARGET_TOO_LONG,
)

TOKEN: Final = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]"
VALUE: Final = rb"[\t -~\x80-\xff]"

MAX_METHOD: Final = 64
"""Bytes of the longest method taken. The longest one registered has 17."""

STATUS_LINE: Final = re.compile(rb"HTTP/1\.([01]) ([1-5][0-9][0-9])(?: " + VALUE + rb"*+)?")
"""Groups: the minor version, the status (RFC 9110 §15: 100 to 599)."""

# What has no place in a head, wherever it is: line ends that are not CRLF, and control characters but for HTAB.
_NEVER: Final = re.compile(rb"(?<!\r)\n|\r(?!\n|\Z)|[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_METHOD: Final = re.compile(TOKEN + rb"++")
_ANY_REQUEST_LINE: Final = re.compile(TOKEN + rb"++ ([!-~]++) HTTP/([0-9])\.([0-9])")
_RAW_REQUEST_LINE: Final = re.compile(TOKEN + rb"++ [^\r\n]* HTTP/[0-9]\.[0-9]")
_ANY_STATUS_LINE: Final = re.compile(rb"HTTP/1\.[01] [0-9]{3}(?: " + VALUE + rb"*+)?")
_FIELD_LINE: Final = re.compile(TOKEN + rb"++:" + VALUE + rb"*+")


def field_pattern(names: bytes) -> re.Pattern[bytes]:
    """A pattern that finds field lines in an accepted head: group 1 is the name, group 2 the value without leading OWS.

    `names` is a regular expression for the names, matched without regard to case. Search from the end of the first line.
    """
    return re.compile(rb"\r\n(" + names + rb"):[ \t]*+([^\r]*+)", re.IGNORECASE)


def check_partial(data: bytes, start: int = 0) -> None:
    """Refuses at once what can never become a request's head, so that it does not sit there until the head timeout.

    Only what is from `start` on is new: each byte is looked at once, and each line again when it is complete. Raises
    ProtocolError.
    """
    if start <= MAX_METHOD:
        _check_method(data)
    _check_bytes(data, start)
    first, fields = _new_lines(data, start)
    if first is not None:
        _check_request_line(first)
    _check_fields(fields)


def check_partial_response(data: bytes, start: int = 0) -> None:
    """The same for a response's head. Raises ProtocolError, with a request's status."""
    if start < 8 and not data.startswith(b"HTTP/1."[: len(data)]):
        raise ProtocolError(BAD_RESPONSE, "it does not begin with HTTP/1.1 or HTTP/1.0")
    _check_bytes(data, start)
    first, fields = _new_lines(data, start)
    if first is not None and STATUS_LINE.fullmatch(first) is None:
        # RFC 9110 §15: what is beyond 599 is invalid. A client would have to take it for a 5xx, of nobody's making.
        what = (
            f"the status {first[9:12].decode('ascii')} is not between 100 and 599"
            if _ANY_STATUS_LINE.fullmatch(first)
            else "the status line is not `HTTP/1.1 200 text`"
        )
        raise ProtocolError(BAD_RESPONSE, what)
    _check_fields(fields)


def malformed(head: bytes) -> ProtocolError:
    """Why a request's head that ends with an empty line was not accepted."""
    try:
        check_partial(head[:-2])
    except ProtocolError as error:
        return error
    return ProtocolError(BAD_REQUEST, "the head is malformed")


def malformed_response(head: bytes) -> ProtocolError:
    """Why a response's head that ends with an empty line was not accepted."""
    try:
        check_partial_response(head[:-2])
    except ProtocolError as error:
        return error
    return ProtocolError(BAD_RESPONSE, "the head is malformed")


def too_large(head: bytes, head_bytes: int, target_bytes: int) -> ProtocolError:
    """What is wrong with a request's head, or the beginning of one, that has more than `head_bytes`."""
    try:
        check_partial(head[:-2] if head.endswith(b"\r\n\r\n") else head)
    except ProtocolError as error:
        return error
    end = head.find(b"\r\n")
    target = (len(head) if end < 0 else end - len(" HTTP/1.1")) - head.find(b" ") - 1
    if target > target_bytes:
        return ProtocolError(TARGET_TOO_LONG, f"the target is longer than {target_bytes} bytes")
    return ProtocolError(HEAD_TOO_LARGE, f"the head is longer than {head_bytes} bytes")


def _check_method(data: bytes) -> None:
    method = _METHOD.match(data, 0, MAX_METHOD + 1)
    if method is None:
        raise ProtocolError(BAD_REQUEST_LINE, "this is not HTTP/1.1: it does not begin with a method")
    end = method.end()
    if end > MAX_METHOD:
        # RFC 9112 §3: 501 for a method longer than any that is known.
        raise ProtocolError(METHOD_TOO_LONG, f"the method is longer than {MAX_METHOD} bytes")
    if end < len(data) and data[end] not in b" \r":
        raise ProtocolError(BAD_REQUEST_LINE, "this is not HTTP/1.1: no space follows the method")


def _check_bytes(data: bytes, start: int) -> None:
    found = _NEVER.search(data, max(0, start - 1))
    if found is None:
        return
    what = found[0]
    if what == b"\n":
        raise ProtocolError(BAD_LINE_END, "a line ends with a bare LF, not with CRLF")
    if what == b"\r":
        raise ProtocolError(BAD_LINE_END, "a CR is not followed by LF")
    if what == b"\0":
        raise ProtocolError(BAD_CHARACTER, "there is a NUL byte in the head")
    where = BAD_FIELD if data.find(b"\r\n", 0, found.start()) >= 0 else BAD_REQUEST_LINE
    raise ProtocolError(where, f"there is a control character ({what[0]:#04x}) in the head")


def _new_lines(data: bytes, start: int) -> tuple[bytes | None, list[bytes]]:
    """The lines that end after `start`: the head's first one, if it is among them, and the others."""
    end = data.find(b"\r\n", max(0, start - 1))
    if end < 0:
        return None, []
    before = data.rfind(b"\r\n", 0, end)
    lines = data[before + 2 if before >= 0 else 0 : data.rfind(b"\r\n")].split(b"\r\n")
    return (lines.pop(0) if before < 0 else None), lines


def _check_request_line(line: bytes) -> None:
    match = _ANY_REQUEST_LINE.fullmatch(line)
    if match is None and _RAW_REQUEST_LINE.fullmatch(line):
        what = "the target has a character that must be percent-encoded: a space, or one that is not ASCII"
        raise ProtocolError(BAD_REQUEST_LINE, what)
    if match is None or match[2] == b"0":
        raise ProtocolError(BAD_REQUEST_LINE, "the request line is not `METHOD target HTTP/1.1`")
    if match[2] != b"1" or match[3] not in b"01":
        raise ProtocolError(BAD_VERSION, "only HTTP/1.1 and HTTP/1.0 are supported")


def _check_fields(lines: list[bytes]) -> None:
    for line in lines:
        if line[:1] in (b" ", b"\t"):
            raise ProtocolError(
                OBS_FOLD, "a field line begins with white space: values on several lines are not accepted"
            )
        if _FIELD_LINE.fullmatch(line) is None:
            raise ProtocolError(BAD_FIELD, "a field line is not `name: value`")
