"""What is different between two texts of JSON, place by place.

Numbers are kept as they are written, as bytes: so Python's own comparison of whole lists and objects, which is quick, tells
everything apart that JSON does (to Python, `true` is 1), and only what it calls different is looked into.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from decimal import Decimal
from itertools import zip_longest
from typing import Any, Final

_DEEPEST: Final = 64
AT_ONCE: Final = 200
PAUSE: Final = 0.001
"""Places that are looked at before a pause, and its seconds: other threads of this program are not to wait for this one."""

Found = tuple[str, str, str]
"""A place (`/items/0/price`), and what is there in each of the two."""


class JsonComparison:
    """`ignored` are places that may differ, each a list of names, in which `*` is any.

    `tolerance` is the share of the larger one by which numbers may differ.
    """

    def __init__(self, ignored: Sequence[Sequence[str]], tolerance: float) -> None:
        self._ignored = ignored
        self._tolerance = Decimal(str(tolerance))
        self._looked = 0

    def compare(self, ours: bytes, theirs: bytes) -> Iterator[Found]:
        """The differences of two texts. Raises ValueError or RecursionError if one cannot be read as JSON."""
        yield from self._compare(_read(ours), _read(theirs), ())

    def _compare(self, ours: Any, theirs: Any, path: tuple[str, ...]) -> Iterator[Found]:
        if ours == theirs:
            return
        self._looked += 1
        if not self._looked % AT_ONCE:
            time.sleep(PAUSE)
        if any(_is_below(path, pattern) for pattern in self._ignored):
            return
        if isinstance(ours, dict) and isinstance(theirs, dict) and len(path) < _DEEPEST:
            for name in dict.fromkeys([*ours, *theirs]):
                below = (*path, name.replace("~", "~0").replace("/", "~1"))  # RFC 6901 §3
                yield from self._compare(ours.get(name, _NOTHING), theirs.get(name, _NOTHING), below)
        elif isinstance(ours, list) and isinstance(theirs, list) and len(path) < _DEEPEST:
            for index, (one, other) in enumerate(zip_longest(ours, theirs, fillvalue=_NOTHING)):
                if one != other:
                    yield from self._compare(one, other, (*path, str(index)))
        elif not self._are_near(ours, theirs):
            yield "/" + "/".join(path), _described(ours), _described(theirs)

    def _are_near(self, ours: Any, theirs: Any) -> bool:
        if not isinstance(ours, bytes) or not isinstance(theirs, bytes):
            return False
        try:
            one, other = Decimal(ours.decode()), Decimal(theirs.decode())
            return abs(one - other) <= self._tolerance * max(abs(one), abs(other))
        except ArithmeticError:  # numbers without measure: no tolerance says anything of them
            return False


def _read(text: bytes) -> Any:
    return json.loads(text, parse_int=str.encode, parse_float=str.encode, parse_constant=_refuse)


def _refuse(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


_NOTHING: Final = object()


def _is_below(path: tuple[str, ...], pattern: Sequence[str]) -> bool:
    return len(path) >= len(pattern) and all(wanted in ("*", part) for wanted, part in zip(pattern, path, strict=False))


def _described(value: Any) -> str:
    """What is there: numbers and words as they are, of anything else only how much it is."""
    if value is _NOTHING:
        return "nothing"
    if isinstance(value, str):
        return f"a text of {len(value)} characters"
    if isinstance(value, (dict, list)):
        return f"{'an object' if isinstance(value, dict) else 'a list'} of {len(value)}"
    return value.decode() if isinstance(value, bytes) else json.dumps(value)
