"""What the C library's allocator keeps of memory that was freed, and when the garbage collector looks for more to free.

Bodies pass through in pieces of a read, a quarter of a megabyte each. By default glibc gives such a piece back to the kernel as
soon as it is freed, and the next one is 64 page faults: with large bodies, a tenth to a quarter of all CPU time.

Nearly everything is freed by counting references. The collector is for cycles, of which requests make none. By default it looks
at all young objects whenever there are 700 more than before, and sixty requests that begin in one turn are as many: 3 to 7 % of
all CPU time of small calls of gRPC.
"""

from __future__ import annotations

import ctypes
import gc
from typing import Final

KEPT: Final = 2 * 2**20
"""Bytes at the top of the heap that may be free: all pieces that are in use at a time."""
LARGE: Final = 2**20
"""Bytes from which on memory is the kernel's again when it is freed, as any is by default from 128 KiB on."""

YOUNG: Final = 10_000
"""Objects more than before after which the collector looks at the young ones: a megabyte or two."""

# malloc.h
_TRIM_THRESHOLD: Final = -1
_MMAP_THRESHOLD: Final = -3


def keep_freed() -> None:
    """Has this process keep what is freed, up to `KEPT`. Other C libraries than glibc do as they do."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_TRIM_THRESHOLD, KEPT)
        mallopt(_MMAP_THRESHOLD, LARGE)


def collect_seldom() -> None:
    """Has the collector pass over everything that is loaded so far, which stays, and look at what is new less often."""
    gc.freeze()
    gc.set_threshold(YOUNG, *gc.get_threshold()[1:])
