"""What is read of a request: so many bytes, within a time, and only what the endpoint wants."""

from __future__ import annotations

import asyncio
import json
import json.scanner
import re
from collections import Counter
from collections.abc import Collection
from typing import Any, Final

from aiohttp import web

from gateway.shapes import depth_of
from gateway.web.problems import Rejected, shown

TIME: Final = 30.0
"""Seconds that a body may take to arrive."""
MAX_DEPTH: Final = 64
"""Values inside one another, as in a file of rules."""
FORM: Final = "application/x-www-form-urlencoded"
JSON: Final = frozenset({"application/json"})
_OF_PAGES: Final = frozenset({FORM, "multipart/form-data", "text/plain"})
"""What a web page sends without a preflight request: https://fetch.spec.whatwg.org/#cors-safelisted-request-header"""
_SURROGATE: Final = re.compile(r"\\u[dD][89a-fA-F]")
_MOST_DIGITS: Final = 300


def check_type(request: web.Request, accepted: Collection[str]) -> None:
    """Raises Rejected for a body of another media type than these; none are any.

    Without a body the type means nothing; it must only not be one that a page sends by itself.
    """
    header = ",".join(request.headers.getall("Content-Type", []))
    kind = header.partition(";")[0].strip().lower()
    if request.headers.get("Content-Encoding", "identity").lower() != "identity":
        raise Rejected(415, "unsupported_media_type", "a compressed body is not accepted")
    if accepted and (kind not in accepted if request.can_read_body else kind in _OF_PAGES - set(accepted)):
        found = shown(header) if header else "nothing"
        message = f"the Content-Type of a body must be {' or '.join(sorted(accepted))}; found {found}"
        raise Rejected(415, "unsupported_media_type", message)


async def read_body(request: web.Request, limit: int) -> bytes:
    """The body, `limit` bytes at the most. Raises Rejected."""
    if (request.content_length or 0) > limit:
        raise _too_large(limit)
    content = bytearray()
    try:
        async with asyncio.timeout(TIME):
            async for piece in request.content.iter_chunked(65536):
                content += piece
                if len(content) > limit:
                    raise _too_large(limit)
    except TimeoutError as error:
        raise Rejected(408, "request_timeout", f"the body did not arrive within {TIME:g} s") from error
    return bytes(content)


def _too_large(limit: int) -> Rejected:
    size = f"{limit >> 20} MiB" if limit >> 20 else f"{limit >> 10} KiB"
    return Rejected(413, "too_large", f"the body has more than {size}")


def parse_json(content: bytes) -> Any:
    """The JSON value of a body. Raises Rejected for what is none (RFC 8259), or holds what nobody can use.

    That is a number that overflows, a name given twice, a lone surrogate, values nested too deeply. For a thread, where
    it is not small.
    """
    try:
        text = content.decode()
        value = _Decoder().decode(text)
        if depth_of(value) > MAX_DEPTH:
            raise RecursionError
        if _SURROGATE.search(text):
            json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        raise Rejected(400, "bad_json", "the body contains a lone surrogate, which is not a character") from error
    except UnicodeDecodeError as error:
        raise Rejected(400, "bad_json", f"the body is not UTF-8 (byte {error.start})") from error
    except json.JSONDecodeError as error:
        raise Rejected(400, "bad_json", f"the body is not JSON: {error}") from error
    except RecursionError as error:
        message = f"the body is nested too deeply: more than {MAX_DEPTH} values inside one another"
        raise Rejected(400, "bad_json", message) from error
    return value


class _Decoder(json.JSONDecoder):
    def __init__(self) -> None:
        super().__init__(object_pairs_hook=_object, parse_int=_integer, parse_float=_number, parse_constant=_constant)
        # The scanner in C holds the interpreter for the whole text: nobody else would run until its end.
        self.scan_once = json.scanner.py_make_scanner(self)  # type: ignore[attr-defined]


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        twice, _ = Counter(name for name, _ in pairs).most_common(1)[0]
        raise Rejected(400, "bad_json", f"the key {shown(twice)} is given twice")
    return found


def _integer(text: str) -> int:
    if len(text) > _MOST_DIGITS:
        raise Rejected(400, "bad_json", f"a number has more than {_MOST_DIGITS} digits")
    return int(text)


def _number(text: str) -> float:
    value = float(text) if len(text) <= _MOST_DIGITS else float("inf")
    if value in (float("inf"), float("-inf")):
        raise Rejected(400, "bad_json", f"the number {text[:20]} is too large to be used")
    return value


def _constant(text: str) -> Any:
    raise Rejected(400, "bad_json", f"the body is not JSON: there is no {text}")
