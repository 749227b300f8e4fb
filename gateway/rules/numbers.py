"""Numbers: exact decimals, which comparisons find on one line of whole numbers. Hot: `place_of` is called for requests.

A number has at most 30 digits on either side of its point, so that 10**30 times a number is whole. That is its *place*:
comparing places is comparing numbers, to the last digit, and the next number after a place is one more.
"""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any, Final

DIGITS: Final = 30
"""On either side of the point, at most."""
LOWEST: Final = -(10 ** (2 * DIGITS))
HIGHEST: Final = 10 ** (2 * DIGITS)
"""Places below and above those of all numbers."""

_UNIT: Final = 10**DIGITS
_ZEROS: Final = "0" * DIGITS
_PLAIN: Final = re.compile(r"[+-]?(?:[0-9]{1,30}(?:\.[0-9]{0,30})?|\.[0-9]{1,30})")
_WRITTEN: Final = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]{1,2})?")


def place_of(text: str) -> int | None:
    """The place of the number that a text is, or None if it is none: `1e3`, `0x5`, `NaN`, ` 5` and the empty text."""
    if _PLAIN.fullmatch(text) is None:
        return None
    if "." not in text:
        return int(text) * _UNIT
    whole, _, fraction = text.partition(".")
    return int(whole + fraction + _ZEROS[len(fraction) :])


def place_of_number(number: Decimal) -> int:
    """The place of a number that `parse_number` took."""
    place = place_of(show_number(number))
    assert place is not None
    return place


def show_place(place: int) -> str:
    """The number at a place, as it is written."""
    whole, rest = divmod(abs(place), _UNIT)
    fraction = f".{rest:0{DIGITS}d}".rstrip("0") if rest else ""
    return f"{'-' if place < 0 else ''}{whole}{fraction}"


def parse_number(value: Any) -> Decimal:
    """The number in a rule, to the digit. Other than in requests it may have an exponent. Raises ValueError."""
    text = value if isinstance(value, str) else str(value)
    if not isinstance(value, bool) and _WRITTEN.fullmatch(text) is not None:
        number = Decimal(text)
        if place_of(show_number(number)) is not None:
            return number
    found = "nothing" if value is None else repr(value)
    raise ValueError(
        f"a decimal number is accepted, with at most {DIGITS} digits on either side of the point; found {found}"
    )


def show_number(number: Decimal) -> str:
    """A number in digits, without an exponent."""
    return f"{number:f}"
