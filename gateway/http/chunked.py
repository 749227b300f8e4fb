"""The chunked transfer coding (RFC 9112 §7.1), read incrementally and written again in canonical form.

Reading strictly and rewriting is what keeps two parsers from disagreeing: sizes lose leading zeros, extensions are dropped, and
the end is written by whoever passes the body on, with those of the trailers that may be (`trailers`).
"""

from __future__ import annotations

import re
from typing import Final

from gateway.errors import ProtocolError
from gateway.failures import BAD_CHUNK
from gateway.http.grammar import TOKEN, VALUE

_QUOTED: Final = rb'"(?:[\t !#-\[\]-~\x80-\xff]|\\' + VALUE + rb')*+"'
_EXTENSION: Final = rb"[ \t]*+;[ \t]*+" + TOKEN + rb"++(?:[ \t]*+=[ \t]*+(?:" + TOKEN + rb"++|" + _QUOTED + rb"))?+"
# RFC 9112 §7.1.1: white space may be before the `;` of an extension, and in it. Beside a bare size there is none.
_SIZE_LINE: Final = re.compile(rb"([0-9A-Fa-f]{1,16}+)(?:" + _EXTENSION + rb")*+")
_DIGITS: Final = re.compile(rb"[0-9A-Fa-f]{1,16}+(?![^ \t;\r])")
_TRAILER: Final = re.compile(TOKEN + rb"++:" + VALUE + rb"*+")
_NEVER: Final = re.compile(rb"[^\t\r -~\x80-\xff]|\r(?!\Z)")
"""What no line has before its end."""

MAX_LINE: Final = 4096
"""Bytes of one chunk-size line with its extensions, or of one trailer line."""
MAX_EXTRA: Final = 16384
"""Bytes of all extensions and trailers of a body."""

_MAX_KNOWN: Final = 4096
_LONGEST_KNOWN: Final = 8
_KNOWN: Final[dict[bytes, tuple[int, bytes]]] = {}
"""Sizes, and lines in canonical form, of bare chunk sizes seen before: bodies have the same few, again and again."""

_SIZE: Final = 0
_DATA: Final = 1
_DATA_END: Final = 2
_TRAILERS: Final = 3
_DONE: Final = 4


class ChunkedReader:
    """Reads one chunked body. `decode=True` gives the bare data, for a peer that has no chunks (HTTP/1.0, HTTP/2).

    Otherwise `last_chunk` is missing at the end of what is to be passed on.
    """

    __slots__ = ("_decode", "_extra", "_left", "_line", "_state", "_trailers")

    def __init__(self, decode: bool = False) -> None:
        self._decode = decode
        self._state: int = _SIZE
        self._left: int = 0
        self._line: bytes = b""
        self._extra: int = 0
        self._trailers: list[bytes] = []

    @property
    def is_done(self) -> bool:
        """Whether the whole body, trailers included, has been read."""
        return self._state == _DONE

    @property
    def trailers(self) -> bytes:
        """The trailers, unjudged: field lines, each led by CRLF."""
        return b"".join(self._trailers)

    def feed(self, data: bytes) -> tuple[bytes, bytes]:
        """Takes the next bytes; returns what to pass on now, and the bytes beyond the body's end (if it ended).

        Raises ProtocolError (400; the caller turns it into 502 for an upstream).
        """
        if self._state == _DATA and len(data) <= self._left:
            self._left -= len(data)
            if not self._left:
                self._state = _DATA_END
            return data, b""
        out: list[bytes] = []
        position = 0
        size = len(data)
        while position < size and self._state != _DONE:
            if self._state == _DATA:
                taken = data[position : position + self._left]
                out.append(taken)
                position += len(taken)
                self._left -= len(taken)
                if not self._left:
                    self._state = _DATA_END
                continue
            if self._state == _DATA_END and not self._line and data.startswith(b"\r\n", position):
                position += 2
                self._state = _SIZE
                if not self._decode:
                    out.append(b"\r\n")
                continue
            if self._state == _SIZE and not self._line:
                end = data.find(b"\r\n", position, position + _LONGEST_KNOWN + 2)
                known = _KNOWN.get(data[position:end]) if end > 0 else None
                if known is not None:
                    self._left, canonical = known
                    self._state = _DATA
                    position = end + 2
                    if not self._decode:
                        out.append(canonical)
                    continue
            end = data.find(b"\n", position)
            if end < 0:
                seen = len(self._line)
                self._line += data[position:]
                self._check_partial_line(seen)
                position = size
                break
            line = self._line + data[position : end + 1]
            self._line = b""
            position = end + 1
            if len(line) > MAX_LINE:
                raise _refused(f"a line of the chunked body is longer than {MAX_LINE} bytes")
            if line[-2:] != b"\r\n":
                raise _refused("a line of the chunked body ends with a bare LF, not with CRLF")
            self._read_line(line[:-2], out)
        return b"".join(out), data[position:]

    def _check_partial_line(self, seen: int) -> None:
        """Refuses what can never become a line; `seen` bytes of it were looked at before."""
        line = self._line
        if len(line) > MAX_LINE:
            raise _refused(f"a line of the chunked body is longer than {MAX_LINE} bytes")
        if self._state == _DATA_END and line != b"\r":
            raise _refused("a chunk is longer than its size")
        if self._state == _SIZE and _DIGITS.match(line) is None:
            raise _refused("a chunk size is not 1 to 16 hexadecimal digits")
        if _NEVER.search(line, max(0, seen - 1)) is not None:
            raise _refused("there is a control character in a line of the chunked body")

    def _read_line(self, line: bytes, out: list[bytes]) -> None:
        if self._state == _SIZE:
            match = _SIZE_LINE.fullmatch(line)
            if match is None:
                if _DIGITS.match(line) is None:
                    raise _refused("a chunk size is not 1 to 16 hexadecimal digits")
                raise _refused("what follows a chunk size is not an extension: `;name` or `;name=value`")
            digits: bytes = match[1]
            self._count_extra(len(line) - len(digits))
            self._left = int(digits, 16)
            if self._left:
                self._state = _DATA
                canonical = b"%x\r\n" % self._left
                if not self._decode:
                    out.append(canonical)
                if len(line) == len(digits) <= _LONGEST_KNOWN:
                    if len(_KNOWN) >= _MAX_KNOWN:
                        _KNOWN.clear()
                    _KNOWN[digits] = (self._left, canonical)
            else:
                self._state = _TRAILERS
        elif self._state == _DATA_END:
            if line:
                raise _refused("a chunk is longer than its size")
            self._state = _SIZE
            if not self._decode:
                out.append(b"\r\n")
        elif line:
            if _TRAILER.fullmatch(line) is None:
                raise _refused("a trailer line is not `name: value`")
            self._count_extra(len(line))
            self._trailers.append(b"\r\n" + line)
        else:
            self._state = _DONE

    def _count_extra(self, size: int) -> None:
        self._extra += size
        if self._extra > MAX_EXTRA:
            raise _refused(f"extensions and trailers of the chunked body have more than {MAX_EXTRA} bytes")


def last_chunk(trailers: bytes) -> bytes:
    """The end of a body of chunks, with trailers: field lines, each led by CRLF."""
    return b"0" + trailers + b"\r\n\r\n"


def _refused(detail: str) -> ProtocolError:
    return ProtocolError(BAD_CHUNK, detail)
