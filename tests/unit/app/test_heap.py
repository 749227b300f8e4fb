"""Memory that is freed and used again costs no page faults."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

PIECES = """
import resource, sys
from gateway.app.heap import keep_freed
if sys.argv[1] == "told":
    keep_freed()

def work(times):
    for _ in range(times):
        pieces = [b"x" * 262_144, b"y" * 262_144, b"z" * 262_144]
        del pieces

work(10)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
work(100)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library than glibc")
def test_pieces_of_bodies_come_from_memory_that_is_there_already() -> None:
    told, untold = (
        int(subprocess.run([sys.executable, "-c", PIECES, how], capture_output=True, check=True, timeout=60).stdout)
        for how in ("told", "untold")
    )
    assert told < 100 < untold
