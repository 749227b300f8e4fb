"""Memory that is freed and used again costs no page faults, and the collector does not look at what lives."""

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


YOUNG_OBJECTS = """
import gc
from gateway.app.heap import collect_seldom
loaded = [[] for _ in range(100)]
collect_seldom()
looks = []
gc.callbacks.append(lambda phase, found: looks.append(found["generation"]))
for _ in range(1000):
    turn = [[] for _ in range(2000)]
print(gc.get_freeze_count() > 100, len(looks))
"""


def test_the_requests_of_a_turn_set_off_no_collection() -> None:
    done = subprocess.run([sys.executable, "-c", YOUNG_OBJECTS], capture_output=True, check=True, timeout=60, text=True)
    assert done.stdout == "True 0\n"
