"""What a body says, for rules that look at one: JSON (RFC 8259) and forms (WHATWG URL §5.1), whole and not compressed.

Parsed, a body is many times its size: a value of two bytes becomes an object of fifty, in a slot of a list or a table. So
bodies of more than so many values are not read at all. What is left is about 10 MB at most for a mebibyte, for as long as the
request is routed.
"""

from __future__ import annotations

import json
from typing import Any, Final, NoReturn

from gateway.errors import ProtocolError
from gateway.http.chunked import ChunkedReader
from gateway.http.grammar import field_pattern
from gateway.http.request import CHUNKED, Request
from gateway.http.target import parse_query

MAX_VALUES: Final = 50_000
"""Members, items and fields of a body that is read. They are counted by their commas and brackets, those in texts too."""

_TYPE = field_pattern(rb"content-type")
_CODING = field_pattern(rb"content-encoding")


def read_content(request: Request, body: bytes) -> Any:
    """The parsed content of a whole body as it was sent, chunks and all, or None where it cannot be read.

    JSON is as `read_json` has it; a form is an object whose members are texts, the first of each name.
    """
    if request.body == CHUNKED:
        chunks = ChunkedReader(decode=True)
        try:
            body, _ = chunks.feed(body)
        except ProtocolError:
            return None
        if not chunks.is_done:
            return None
    if request.header(_CODING) not in (None, "", "identity"):
        return None
    kind = (request.header(_TYPE) or "").partition(";")[0].strip().lower()
    if kind == "application/x-www-form-urlencoded":
        return parse_query(body) if body.count(b"&") < MAX_VALUES else None
    if kind != "application/json" and not kind.endswith("+json"):
        return None
    try:
        return read_json(body)
    except ValueError:
        return None


def read_json(data: bytes) -> Any:
    """JSON, whose numbers stay the text that they are.

    Raises ValueError for what is not JSON in UTF-8, is nested too deeply, or may have more than `MAX_VALUES` values.
    """
    if data.count(b",") + data.count(b"[") + data.count(b"{") >= MAX_VALUES:
        raise ValueError(f"there may be more than {MAX_VALUES} values")
    try:
        return json.loads(data.decode("utf-8"), parse_int=str, parse_float=str, parse_constant=_refuse)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def _refuse(constant: str) -> NoReturn:
    """NaN and Infinity, which Python takes, are not JSON (RFC 8259 §6)."""
    raise ValueError(f"{constant} is not JSON")
