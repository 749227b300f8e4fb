"""The chunked transfer coding (RFC 9112 §7.1), read incrementally and written again in canonical form.

Reading strictly and writing anew is what keeps two parsers from disagreeing: sizes lose leading zeros, extensions and
trailers are dropped (RFC 9110 §6.5.1 lets an intermediary do so; a tag in a trailer is how the gray lane leaks in others).
"""

from __future__ import annotations

import re
from typing import Final

from gateway.errors import ProtocolError

_SIZE_LINE: Final = re.compile(rb"([0-9A-Fa-f]{1,16})(?:[ \t]*;[\t -~\x80-\xff]*)?")
_TRAILER: Final = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+:[\t -~\x80-\xff]*")

MAX_LINE: Final = 4096
"""Bytes of one chunk-size line with its extensions, or of one trailer line."""
MAX_EXTRA: Final = 16384
"""Bytes of all extensions and trailers of a body: they carry nothing that is passed on."""

_SIZE: Final = 0
_DATA: Final = 1
_DATA_END: Final = 2
_TRAILERS: Final = 3
_DONE: Final = 4


class ChunkedReader:
    """Reads one chunked body. `decode=True` gives the bare data, for a peer that cannot read chunks (HTTP/1.0)."""

    __slots__ = ("_decode", "_extra", "_left", "_line", "_state")

    def __init__(self, decode: bool = False) -> None:
        self._decode = decode
        self._state: int = _SIZE
        self._left: int = 0
        self._line: bytes = b""
        self._extra: int = 0

    @property
    def is_done(self) -> bool:
        """Whether the whole body, trailers included, has been read."""
        return self._state == _DONE

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
            end = data.find(b"\n", position)
            if end < 0:
                self._line += data[position:]
                self._check_partial_line()
                position = size
                break
            line = self._line + data[position : end + 1]
            self._line = b""
            position = end + 1
            if len(line) > MAX_LINE or line[-2:] != b"\r\n":
                raise ProtocolError(400, "bad_chunk", "a line of the chunked body is too long, or ends with a bare LF")
            self._read_line(line[:-2], out)
        return b"".join(out), data[position:]

    def _check_partial_line(self) -> None:
        line = self._line
        if len(line) > MAX_LINE:
            raise ProtocolError(400, "bad_chunk", "a line of the chunked body is too long")
        if self._state == _DATA_END and line != b"\r":
            raise ProtocolError(400, "bad_chunk", "a chunk is longer than its size")
        begun = line[:-1] if line[-1:] == b"\r" else line
        # `5 ` may still become `5 ;extension`.
        if self._state == _SIZE and not (_SIZE_LINE.fullmatch(begun) or _SIZE_LINE.fullmatch(line + b";")):
            raise ProtocolError(400, "bad_chunk", "a chunk size is not hexadecimal")

    def _read_line(self, line: bytes, out: list[bytes]) -> None:
        if self._state == _SIZE:
            match = _SIZE_LINE.fullmatch(line)
            if match is None:
                raise ProtocolError(400, "bad_chunk", "a chunk size is not hexadecimal")
            digits: bytes = match[1]
            self._count_extra(len(line) - len(digits))
            self._left = int(digits, 16)
            if self._left:
                self._state = _DATA
                if not self._decode:
                    out.append(b"%x\r\n" % self._left)
            else:
                self._state = _TRAILERS
        elif self._state == _DATA_END:
            if line:
                raise ProtocolError(400, "bad_chunk", "a chunk is longer than its size")
            self._state = _SIZE
            if not self._decode:
                out.append(b"\r\n")
        elif line:
            if _TRAILER.fullmatch(line) is None:
                raise ProtocolError(400, "bad_chunk", "a trailer line is malformed")
            self._count_extra(len(line))
        else:
            self._state = _DONE
            if not self._decode:
                out.append(b"0\r\n\r\n")

    def _count_extra(self, size: int) -> None:
        self._extra += size
        if self._extra > MAX_EXTRA:
            raise ProtocolError(400, "bad_chunk", f"extensions and trailers exceed {MAX_EXTRA} bytes")
