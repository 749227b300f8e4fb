"""What a body says, for rules that look at one: JSON (RFC 8259) and forms (WHATWG URL §5.1), whole and not compressed."""

from __future__ import annotations

import json
from typing import Any

from gateway.errors import ProtocolError
from gateway.http.chunked import ChunkedReader
from gateway.http.grammar import field_pattern
from gateway.http.request import CHUNKED, Request
from gateway.http.target import parse_query

_TYPE = field_pattern(rb"content-type")
_CODING = field_pattern(rb"content-encoding")


def read_content(request: Request, body: bytes) -> Any:
    """The parsed content of a whole body as it was sent (chunks included), or None where it cannot be read.

    Numbers of JSON stay the text that they are; a form is an object whose members are texts, the first of each name.
    """
    if request.body == CHUNKED:
        try:
            body, _ = ChunkedReader(decode=True).feed(body)
        except ProtocolError:
            return None
    if request.header(_CODING) not in (None, "", "identity"):
        return None
    kind = (request.header(_TYPE) or "").partition(";")[0].strip().lower()
    if kind == "application/x-www-form-urlencoded":
        return parse_query(body)
    if kind != "application/json" and not kind.endswith("+json"):
        return None
    try:
        return json.loads(body.decode("utf-8"), parse_int=str, parse_float=str, parse_constant=str)
    except (ValueError, RecursionError):
        return None
