"""Mirrors: a lane that gets copies of the baseline's requests, so that its responses can be compared before it has users."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, Field, WithJsonSchema

from gateway.rules.mirrored import MirroredLane
from gateway.rules.names import Header, Model

SAFE: Final = ("GET", "HEAD", "OPTIONS")
METHODS: Final = (*SAFE, "POST", "PUT", "PATCH", "DELETE")
_CALL: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_.]*/([A-Za-z_][A-Za-z0-9_]*|\*)")
_SECRET: Final = frozenset(
    {
        "authentication-info",
        "authorization",
        "cookie",
        "proxy-authenticate",
        "proxy-authentication-info",
        "proxy-authorization",
        "set-cookie",
        "www-authenticate",
    }
)


def _check_path(text: str) -> str:
    if not text.startswith("/"):
        raise ValueError(f"a place in a JSON body is /name, /items/0 or /items/*/id; found {text!r}")
    return text


def _check_header(text: str) -> str:
    if text in _SECRET:
        raise ValueError(f"{text} is not compared: it holds secrets, which differences would show")
    return text


def _check_method(text: str) -> str:
    if text not in METHODS and _CALL.fullmatch(text) is None:
        ways = "of gRPC `package.Service/Method` or `package.Service/*`"
        raise ValueError(f"a method is one of {', '.join(METHODS)}, or {ways}; found {text!r}")
    return text


Method = Annotated[
    str,
    AfterValidator(_check_method),
    WithJsonSchema({"type": "string", "pattern": f"^({'|'.join(METHODS)}|{_CALL.pattern})$"}),
]


class Compare(Model):
    """What of two responses has to be the same."""

    status: bool = True
    """Whether the status has to be."""
    headers: list[Annotated[Header, AfterValidator(_check_header)]] = Field(default_factory=list)
    """The fields whose values have to be."""
    body: Literal["none", "bytes", "json"] = "none"
    """Whether bodies have to be the same: not, byte by byte, or as JSON."""
    ignore: list[Annotated[str, AfterValidator(_check_path)]] = Field(default_factory=list)
    """Places in JSON bodies that may differ, with everything below them: `/time`, `/items/*/id`."""
    tolerance: Annotated[float, Field(ge=0, le=1)] = 0.0
    """By how much numbers in JSON bodies may differ: 0.01 is 1 % of the larger one."""


class LaneMirror(Model):
    """Copies of unmarked requests, which go to the lane's instances when the original is over."""

    percent: Annotated[float, Field(gt=0, le=100)]
    """How many of the requests are copied, at random."""
    methods: Annotated[list[Method], Field(min_length=1)] = Field(default_factory=lambda: list[Any](SAFE))
    """The methods of requests that may be done twice. Those of gRPC are `package.Service/Method`, or `package.Service/*`; `POST`
    does not mean them."""
    compare: Compare = Field(default_factory=Compare)
    """What of the two responses has to be the same."""

    def compile(self, lane: str, tag: str, services: Iterable[str]) -> MirroredLane:
        """The mirror of `lane` (`group/lane`), whose group holds `services`; empty: every service."""
        compare = self.compare
        return MirroredLane(
            lane,
            tag,
            frozenset(services),
            frozenset(self.methods),
            self.percent / 100,
            compares_status=compare.status,
            headers=tuple(compare.headers),
            body=compare.body,
            ignored=tuple(compare.ignore),
            tolerance=compare.tolerance,
        )
