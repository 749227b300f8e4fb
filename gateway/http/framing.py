"""How long a request's body is (RFC 9112 §6): refused is what two programs could read in two ways."""

from __future__ import annotations

from gateway.errors import ProtocolError
from gateway.failures import BAD_FRAMING, UNKNOWN_CODING


def check_framing(lengths: int, codings: int, coding: bytes, version: int) -> None:
    """Judges what `codings` lines of Transfer-Encoding say together, beside `lengths` of Content-Length, in HTTP/1.`version`.

    Nothing else than `chunked` is accepted. Raises ProtocolError: 501 for a coding that is not known, else 400 (§6.1, §6.3).
    """
    if codings:
        names = [part.strip(b" \t") for part in coding.lower().split(b",")]
        if b"" in names:
            raise ProtocolError(BAD_FRAMING, "Transfer-Encoding is empty, or has an empty element")
        if names != [b"chunked"]:
            if names.count(b"chunked") > 1:
                raise ProtocolError(BAD_FRAMING, "Transfer-Encoding says `chunked` more than once")
            if b"chunked" in names and names[-1] != b"chunked":
                raise ProtocolError(BAD_FRAMING, "`chunked` is not the last transfer coding")
            if b"chunked" in names and b"identity" in names:
                raise ProtocolError(BAD_FRAMING, "Transfer-Encoding says both `identity` and `chunked`")
            raise ProtocolError(UNKNOWN_CODING, "the only transfer coding accepted is `chunked`, alone")
        if lengths:
            raise ProtocolError(BAD_FRAMING, "there are both Content-Length and Transfer-Encoding")
        if version == 0:
            raise ProtocolError(BAD_FRAMING, "HTTP/1.0 has no Transfer-Encoding")
    elif lengths > 1:
        raise ProtocolError(BAD_FRAMING, "there is more than one Content-Length")
