"""The codings in which bodies are compressed (RFC 1952, RFC 8878), a piece at a time."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from typing import Any, Final

GZIP_LEVEL: Final = 5
ZSTD_LEVEL: Final = 3
WINDOW: Final = 17
"""How far back zstd looks, as a power of two: 128 KiB, so that a response takes about as much memory as one with gzip."""

# What is wanted of what was taken.
NOTHING: Final = 0
"""Whatever is ready."""
FLUSH: Final = 1
"""All of it, so that whoever reads it has no less than is known here."""
END: Final = 2
"""All of it, and the end."""

Coder = Callable[[bytes, int], bytes]
"""Takes a piece of a body, and what is wanted; returns what is to be sent."""


def gzip_coder() -> Coder:
    """One body in gzip."""
    coder = zlib.compressobj(GZIP_LEVEL, zlib.DEFLATED, 31)
    modes = (zlib.Z_NO_FLUSH, zlib.Z_SYNC_FLUSH, zlib.Z_FINISH)

    def code(data: bytes, wanted: int) -> bytes:
        out = coder.compress(data)
        return out if wanted == NOTHING else out + coder.flush(modes[wanted])

    return code


def zstd_coder() -> Coder:
    """One body in zstd. The library is loaded when it is first needed."""
    from backports import zstd

    parameters = zstd.CompressionParameter
    coder = zstd.ZstdCompressor(options={parameters.compression_level: ZSTD_LEVEL, parameters.window_log: WINDOW})
    modes: tuple[Any, ...] = (coder.CONTINUE, coder.FLUSH_BLOCK, coder.FLUSH_FRAME)
    return lambda data, wanted: coder.compress(data, modes[wanted])


CODERS: Final[dict[str, Callable[[], Coder]]] = {"gzip": gzip_coder, "zstd": zstd_coder}
"""By the coding's name in `Content-Encoding`."""
