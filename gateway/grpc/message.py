"""The `grpc-message` of a status: text, of which only printable ASCII other than `%` stands for itself."""

from __future__ import annotations

from typing import Final
from urllib.parse import quote_from_bytes

_PLAIN: Final = "".join(chr(code) for code in range(0x20, 0x7F) if code != 0x25)


def encode_message(text: str) -> bytes:
    """A text as the field's value."""
    return quote_from_bytes(text.encode("utf-8", "replace"), safe=_PLAIN).encode("ascii")
