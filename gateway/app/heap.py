"""What the C library's allocator keeps of memory that was freed.

Bodies pass through in pieces of a read, a quarter of a megabyte each. By default glibc gives such a piece back to the kernel as
soon as it is freed, and the next one is 64 page faults: with large bodies, a tenth to a quarter of all CPU time.
"""

from __future__ import annotations

import ctypes
from typing import Final

KEPT: Final = 2 * 2**20
"""Bytes at the top of the heap that may be free: all pieces that are in use at a time."""
LARGE: Final = 2**20
"""Bytes from which on memory is the kernel's again when it is freed, as any is by default from 128 KiB on."""

# malloc.h
_TRIM_THRESHOLD: Final = -1
_MMAP_THRESHOLD: Final = -3


def keep_freed() -> None:
    """Has this process keep what is freed, up to `KEPT`. Other C libraries than glibc do as they do."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_TRIM_THRESHOLD, KEPT)
        mallopt(_MMAP_THRESHOLD, LARGE)
