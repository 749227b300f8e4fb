"""How rules are written: names, tags, patterns, shares, moments. What a value accepts, and what it says where it does not."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from decimal import Decimal
from itertools import pairwise
from typing import Annotated, Any, Final

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    PlainValidator,
    WithJsonSchema,
)

from gateway.docstrings import describe_fields
from gateway.rules import forms
from gateway.rules.expressions import check_pattern
from gateway.rules.forms import check_characters
from gateway.rules.numbers import parse_number, show_number
from gateway.tags import BASE, is_tag

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
_TOKEN: Final = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_SPAN: Final = re.compile(r"([0-9]{1,3}(?:\.[0-9]{1,2})?) ?- ?([0-9]{1,3}(?:\.[0-9]{1,2})?)")
_AGE: Final = re.compile(r"([0-9]+)(m|h|d)")
_SECONDS: Final = {"m": 60, "h": 3600, "d": 86_400}
MAX_AGE: Final = 400 * 86_400
"""Seconds that a cookie may be kept: what browsers take at most (RFC 6265bis §5.5)."""


class Model(BaseModel):
    """Base of the models: unknown keys are problems, values do not change."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, populate_by_name=True, json_schema_extra=describe_fields, defer_build=True
    )


def check_name(text: str) -> str:
    """Returns the name of a group, lane or segment. Raises ValueError unless it is plain: it becomes a metric label."""
    if _NAME.fullmatch(text) is None:
        raise ValueError("a name is 1 to 63 letters, digits, '.', '_' or '-', starting with a letter or digit")
    return text


def check_tag(text: str) -> str:
    """Returns a lane's tag. Raises ValueError if it is none, or the reserved one."""
    if text == BASE:
        raise ValueError("tag 'base' is reserved: it means unmarked")
    if not is_tag(text):
        raise ValueError("a tag is 1 to 63 letters, digits, '.', '_' or '-', starting with a letter or digit")
    return text


def is_token(text: str) -> bool:
    """Whether a text is a token (RFC 9110 §5.6.2)."""
    return _TOKEN.fullmatch(text) is not None


def _check_header(text: str) -> str:
    if not is_token(text):
        raise ValueError(f"{text!r} is not a header name")
    return text.lower()


def _check_parameter(text: str) -> str:
    if not text:
        raise ValueError("the name of a parameter is missing")
    return check_characters(text)


def _check_cookie(text: str) -> str:
    # RFC 6265 §4.1.1 asks for a token; browsers send more than that, but none of these ever.
    if re.fullmatch(r"[^\s=;\x00-\x1f\x7f]+", text) is None:
        raise ValueError(f"{text!r} is not a cookie's name")
    return check_characters(text)


def _check_member(text: str) -> str:
    # W3C Baggage §3.3.1.1: a key is a token, and case counts.
    if not is_token(text):
        raise ValueError(f"{text!r} is not the key of a baggage member")
    return text


def _check_pointer(text: str) -> str:
    if not text.startswith("/") or re.search(r"~(?![01])", text) is not None:
        raise ValueError(f"{text!r} is not a JSON pointer (RFC 6901): /user/id, /items/0")
    return text


def _check_claim(text: str) -> str:
    if text.startswith("/"):
        return _check_pointer(text)
    if not text:
        raise ValueError("the name of a claim is missing")
    return text


def _check_path(text: str) -> str:
    if text == "*":
        raise ValueError("a path starts with '/'")
    return forms.path(check_characters(text), "whole")


def _parse_share(value: Any) -> float | list[str]:
    """`10` or `[0-5, 20-25]`: a share, or the very spans of it."""
    if isinstance(value, list):
        if not value or not all(isinstance(item, str) for item in value):
            raise ValueError("a list holds spans such as 0-5 or 12.5-20")
        parse_spans(value)
        return value
    return parse_percent(value, ", or a list of spans such as [0-5, 20-25]")


def parse_percent(value: Any, otherwise: str = "") -> float:
    """A share that is one number. Raises ValueError, which says what is accepted `otherwise`."""
    found = "nothing" if value is None else repr(value)
    try:
        share = parse_number(value)
    except ValueError:
        share = Decimal(-1)
    if not 0 <= share <= 100:
        raise ValueError(f"a number from 0 to 100 is accepted{otherwise}; found {found}")
    if share != round(share, 2):
        raise ValueError(
            f"a share has at most two decimals, because 0.01 % is one of the 10,000 buckets; found {found}"
        )
    return float(share)


def parse_spans(share: float | list[str]) -> tuple[tuple[int, int], ...] | None:
    """The bucket spans (first, behind the last; 0 to 10,000) that a percent operand spells out; None for a plain number.

    Raises ValueError for what is not a span.
    """
    if not isinstance(share, list):
        return None
    spans: list[tuple[int, int]] = []
    for text in share:
        match = _SPAN.fullmatch(text)
        low, high = (round(float(part) * 100) for part in match.groups()) if match is not None else (0, 0)
        if match is None or low > high or high > 10_000:
            raise ValueError(f"a span is FROM-TO in percent, such as 0-5 or 12.5-20; found {text!r}")
        if low < high:
            spans.append((low, high))
    spans.sort()
    for (_, before), (after, _) in pairwise(spans):
        if after < before:
            raise ValueError(f"the spans overlap: {share}")
    return tuple(spans)


def _parse_age(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    match = _AGE.fullmatch(value)
    if match is None or not 0 < int(match[1]) * _SECONDS[match[2]] <= MAX_AGE:
        raise ValueError(f"an age is a whole number with m, h or d, up to 400d; found {value!r}")
    return int(match[1]) * _SECONDS[match[2]]


def show_age(seconds: int) -> str:
    """An age as it is written."""
    unit = next(unit for unit in ("d", "h", "m") if seconds % _SECONDS[unit] == 0)
    return f"{seconds // _SECONDS[unit]}{unit}"


def parse_moment(value: Any) -> Any:
    """A time with its zone, or the end of a day in UTC, if `value` is text. Raises ValueError."""
    if not isinstance(value, str):
        return value
    form = "a moment is 2026-12-31T18:00:00+08:00, or a date, at whose end in UTC it is"
    try:
        if re.fullmatch(r"\d{4}-\d\d-\d\d", value) is not None:
            return datetime.fromisoformat(value + "T23:59:59+00:00")
        moment = datetime.fromisoformat(value)
    except ValueError as error:
        raise ValueError(f"{form}; found {value!r}") from error
    if moment.tzinfo is None:
        raise ValueError(f"{form}; {value!r} has no time zone: add Z or +08:00")
    return moment


def _check_range(ends: list[Decimal]) -> list[Decimal]:
    if ends[0] > ends[1]:
        low, high = map(show_number, ends)
        raise ValueError(f"the first number is larger than the second: [{low}, {high}]")
    return ends


def _plain_number(number: Decimal) -> int | float | str:
    """A number for JSON and YAML: a text where a float would not say all of it."""
    if number.as_integer_ratio()[1] == 1:
        return int(number)
    return float(number) if Decimal(repr(float(number))) == number else show_number(number)


def show_moment(moment: datetime) -> str:
    """A moment as it is written."""
    return moment.isoformat().replace("+00:00", "Z") if moment.tzinfo is UTC else moment.isoformat()


Name = Annotated[str, AfterValidator(check_name)]
Tag = Annotated[str, AfterValidator(check_tag)]
Header = Annotated[str, AfterValidator(_check_header)]
Parameter = Annotated[str, AfterValidator(_check_parameter)]
Cookie = Annotated[str, AfterValidator(_check_cookie)]
Member = Annotated[str, AfterValidator(_check_member)]
Pointer = Annotated[str, AfterValidator(_check_pointer)]
Claim = Annotated[str, AfterValidator(_check_claim)]
Pattern = Annotated[str, AfterValidator(check_pattern)]
LanePath = Annotated[str, AfterValidator(_check_path)]
Share = Annotated[
    float | list[str],
    PlainValidator(_parse_share),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "number", "minimum": 0, "maximum": 100},
                {"type": "array", "minItems": 1, "items": {"type": "string"}},
            ]
        }
    ),
]
Number = Annotated[
    Decimal, PlainValidator(parse_number), PlainSerializer(_plain_number), WithJsonSchema({"type": "number"})
]
Range = Annotated[list[Number], Field(min_length=2, max_length=2), AfterValidator(_check_range)]
Values = Annotated[list[str], Field(min_length=1)]
Age = Annotated[int, BeforeValidator(_parse_age), PlainSerializer(show_age), WithJsonSchema({"type": "string"})]
Moment = Annotated[
    datetime, BeforeValidator(parse_moment), PlainSerializer(show_moment), WithJsonSchema({"type": "string"})
]
