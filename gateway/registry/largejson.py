"""Large JSON from registries, read in a thread without holding up the event loop.

`json.loads` is one call in C, which keeps the interpreter's lock until it is done, whatever thread it runs in: 22 MiB stop the
loop for one and a half seconds. So a large document is read in pieces, between which other threads run. What is made of a list's
items should be made at once (`items`): the garbage collector stops everybody for what is kept.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable, Generator, Iterator
from typing import Any, Final, TypeVar

LARGE: Final = 256 << 10
"""Characters from which a document is read in a thread: a smaller one takes a few milliseconds."""

T = TypeVar("T")

_DECODER: Final = json.JSONDecoder()
_SPACE: Final = re.compile(r"[ \t\n\r]*")


async def off_loop(text: str, make: Callable[[str], T]) -> T:
    """What `make` makes of a text; in a thread if the text is large. Raises what `make` raises."""
    return make(text) if len(text) < LARGE else await asyncio.to_thread(make, text)


async def read_json(text: str) -> Any:
    """The document that a text is. Raises ValueError or RecursionError if it is none."""
    return json.loads(text) if len(text) < LARGE else await asyncio.to_thread(_read, text)


def items(text: str) -> Iterator[Any]:
    """The items of the list that a text is, one after another. Raises ValueError or RecursionError if it goes wrong."""
    at = _skip(text, 0)
    if text[at : at + 1] != "[":
        raise ValueError("not a list")
    end = yield from _items(text, at, _DECODER.raw_decode)
    _check_end(text, end)


def _read(text: str) -> Any:
    value, end = _value(text, _skip(text, 0))
    _check_end(text, end)
    return value


def _value(text: str, at: int, depth: int = 2) -> tuple[Any, int]:
    """A value, and where it ends; lists and objects down to a depth in pieces."""
    opens = text[at : at + 1] if depth else ""
    if opens == "[":
        found: list[Any] = []
        pieces = _items(text, at, lambda inner, place: _value(inner, place, depth - 1))
        while True:
            try:
                found.append(next(pieces))
            except StopIteration as stop:
                return found, stop.value
    if opens == "{":
        return _object(text, at, depth)
    return _DECODER.raw_decode(text, at)


def _items(text: str, at: int, decode: Callable[[str, int], tuple[Any, int]]) -> Generator[Any, None, int]:
    """The items of the list that begins at a place. Returns where it ends."""
    at = _skip(text, at + 1)
    if text[at : at + 1] == "]":
        return at + 1
    while True:
        item, at = decode(text, at)
        yield item
        at = _skip(text, at)
        if text[at : at + 1] == "]":
            return at + 1
        at = _skip(text, _expect(text, at, ","))


def _object(text: str, at: int, depth: int) -> tuple[dict[str, Any], int]:
    found: dict[str, Any] = {}
    at = _skip(text, at + 1)
    if text[at : at + 1] == "}":
        return found, at + 1
    while True:
        _expect(text, at, '"')
        key, at = _DECODER.raw_decode(text, at)
        at = _skip(text, _expect(text, _skip(text, at), ":"))
        found[key], at = _value(text, at, depth - 1)
        at = _skip(text, at)
        if text[at : at + 1] == "}":
            return found, at + 1
        at = _skip(text, _expect(text, at, ","))


def _skip(text: str, at: int) -> int:
    found = _SPACE.match(text, at)
    assert found is not None
    return found.end()


def _expect(text: str, at: int, sign: str) -> int:
    if text[at : at + 1] != sign:
        raise json.JSONDecodeError(f"expected {sign!r}", text, at)
    return at + 1


def _check_end(text: str, at: int) -> None:
    if _skip(text, at) != len(text):
        raise json.JSONDecodeError("extra data", text, at)
