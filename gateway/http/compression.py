"""Which responses are compressed, for whom, and what their heads say then (RFC 9110 §8.4, §12.5.3)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from gateway.http.grammar import TOKEN, field_pattern
from gateway.http.request import Request
from gateway.http.response import Response

VARY: Final = b"\r\nVary: Accept-Encoding"
NO_CODING: Final = ""
_ACCEPT: Final = field_pattern(rb"accept-encoding")
_CONTROL: Final = field_pattern(rb"cache-control")
_ITEM: Final = re.compile(
    r"[ \t]*(" + TOKEN.decode("ascii") + r"+)[ \t]*(?:;[ \t]*[qQ]=([01](?:\.[0-9]{0,3})?)[ \t]*)?"
)
_NO_TRANSFORM: Final = re.compile(rb"(?:^|[\s,])no-transform(?:$|[\s,=])", re.IGNORECASE)
_VARIES: Final = re.compile(rb"(?:^|[\s,])(?:accept-encoding|\*)(?:$|[\s,])", re.IGNORECASE)
_MAX_KNOWN: Final = 256
_MAX_VALUE: Final = 256
_DROPPED: Final = frozenset(
    {
        b"content-length", b"transfer-encoding", b"content-encoding", b"accept-ranges",
        b"content-md5", b"digest", b"content-digest", b"repr-digest",
    }
)  # fmt: skip
"""Fields that say something of the bytes of a body that are no longer those."""


class Compression:
    """The terms of one route: `codings` in the order in which they are preferred, media `types`, and the least size in bytes."""

    __slots__ = ("_codings", "_families", "_known", "_min_bytes", "_types")

    def __init__(self, codings: Sequence[str], types: Sequence[str], min_bytes: int) -> None:
        self._codings: tuple[str, ...] = tuple(codings)
        self._types: frozenset[bytes] = frozenset([name.encode("ascii") for name in types if not name.endswith("/*")])
        self._families: frozenset[bytes] = frozenset(
            [name[:-1].encode("ascii") for name in types if name.endswith("/*")]
        )
        self._min_bytes = min_bytes
        self._known: dict[bytes, str] = {}

    def describe(self) -> str:
        """The codings, for people."""
        return ", ".join(self._codings)

    def coding_for(self, request: Request) -> str:
        """In which coding the client wants its response; NO_CODING: in none of these."""
        values = [value for _, value in _ACCEPT.findall(request.head, request.line_end)]
        if not values:
            return NO_CODING
        accepted = values[0] if len(values) == 1 else b",".join(values)
        coding = self._known.get(accepted)
        if coding is None:
            coding = self._choose(accepted)
            if len(self._known) >= _MAX_KNOWN:
                self._known.clear()
            if len(accepted) <= _MAX_VALUE:
                self._known[accepted] = coding
        if coding:
            for _, value in _CONTROL.findall(request.head, request.line_end):
                if _NO_TRANSFORM.search(value) is not None:
                    return NO_CODING
        return coding

    def _choose(self, accepted: bytes) -> str:
        if len(accepted) > _MAX_VALUE:
            return NO_CODING
        weights: dict[str, float] = {}
        for item in accepted.decode("latin-1").split(","):
            match = _ITEM.fullmatch(item)
            if match is not None:
                name = match[1].lower()
                weights["gzip" if name == "x-gzip" else name] = 1.0 if match[2] is None else float(match[2])
        others = weights.get("*", 0.0)
        best = NO_CODING
        weight = 0.0
        for coding in self._codings:
            own = weights.get(coding, others)
            if own > weight:
                best, weight = coding, own
        return NO_CODING if weights.get("identity", 0.0) > weight else best

    def concerns(self, response: Response, lines: list[bytes]) -> bool:
        """Whether what a response with these field lines is about is compressed for who wants that.

        Even so, a response to HEAD, one of 206, and one of 304 never are.
        """
        if response.status in (204, 205) or 0 < response.body < self._min_bytes:
            return False
        kind = b""
        for line in lines:
            name, _, value = line.partition(b":")
            folded = name.lower()
            if folded == b"content-type":
                kind = value.partition(b";")[0].strip(b" \t").lower()
            elif folded == b"content-encoding":
                if value.strip(b" \t").lower() not in (b"identity", b""):
                    return False
            elif folded == b"cache-control" and _NO_TRANSFORM.search(value) is not None:
                return False
        if response.status == 304 and not kind:
            return True  # what it is about is said by the response that is still valid
        slash = kind.find(b"/") + 1
        is_meant = kind in self._types or kind[:slash] in self._families
        return is_meant and not kind.startswith(b"application/grpc")


def varies(lines: list[bytes]) -> bool:
    """Whether a response says already that it varies by Accept-Encoding."""
    for line in lines:
        name, _, value = line.partition(b":")
        if name.lower() == b"vary" and _VARIES.search(value) is not None:
            return True
    return False


def coded_lines(lines: list[bytes], coding: str) -> list[bytes]:
    """The field lines of a response whose body is in this coding now: without those that say how long it is."""
    kept = [line for line in lines if line.partition(b":")[0].lower() not in _DROPPED]
    kept = weakened(kept)
    kept.append(b"Content-Encoding: " + coding.encode("ascii"))
    return kept


def coded_trailers(lines: bytes) -> bytes:
    """The trailers, field lines each led by CRLF, of a response whose body is in another coding now."""
    if not lines:
        return lines
    kept = [line for line in lines.split(b"\r\n")[1:] if line.partition(b":")[0].lower() not in _DROPPED]
    return b"".join([b"\r\n" + line for line in kept])


def weakened(lines: list[bytes]) -> list[bytes]:
    """The same with an ETag that is weak: it stands for more than one sequence of bytes (RFC 9110 §8.8.1)."""
    out: list[bytes] = []
    for line in lines:
        name, _, value = line.partition(b":")
        tag = value.strip(b" \t")
        out.append(name + b": W/" + tag if name.lower() == b"etag" and tag[:1] == b'"' else line)
    return out
