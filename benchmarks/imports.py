"""What importing modules costs: CPU time and resident memory, each package without what it imports itself.

python -m benchmarks.imports gateway.app.sidecar
"""

from __future__ import annotations

import importlib
import importlib.abc
import importlib.util
import os
import sys
import time
from collections import defaultdict
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any

_PAGE = os.sysconf("SC_PAGE_SIZE")


def resident() -> int:
    """Bytes of this process that are in memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * _PAGE


class Meter(importlib.abc.MetaPathFinder):
    """Stands before the other finders, and measures what each module's execution takes."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        self.bytes: dict[str, int] = defaultdict(int)
        self._nested = [(0.0, 0)]
        self._searching: set[str] = set()

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        """Lets the others find it, and wraps how it is executed."""
        if name in self._searching:
            return None
        self._searching.add(name)
        try:
            spec = importlib.util.find_spec(name) if path is None else _found(name, path, self)
        finally:
            self._searching.discard(name)
        if spec is not None and spec.loader is not None and hasattr(spec.loader, "exec_module"):
            execute = spec.loader.exec_module
            spec.loader.exec_module = lambda module: self._measure(name, execute, module)  # type: ignore[method-assign]
        return spec

    def _measure(self, name: str, execute: Any, module: ModuleType) -> None:
        self._nested.append((0.0, 0))
        started, before = time.process_time(), resident()
        try:
            execute(module)
        finally:
            seconds, grown = time.process_time() - started, resident() - before
            inner = self._nested.pop()
            self.seconds[name] += seconds - inner[0]
            self.bytes[name] += grown - inner[1]
            outer = self._nested.pop()
            self._nested.append((outer[0] + seconds, outer[1] + grown))


def _found(name: str, path: Any, skipped: Meter) -> ModuleSpec | None:
    for finder in sys.meta_path:
        if finder is not skipped:
            spec = finder.find_spec(name, path, None)
            if spec is not None:
                return spec
    return None


def main(names: list[str]) -> None:
    """Imports modules, and prints what took how much: packages of others as wholes, our own modules each by itself."""
    meter = Meter()
    sys.meta_path.insert(0, meter)
    for name in names:
        importlib.import_module(name)
    sys.meta_path.remove(meter)
    totals: dict[str, list[float]] = {}
    for name, seconds in meter.seconds.items():
        group = name if name.startswith("gateway") else name.partition(".")[0]
        total = totals.setdefault(group, [0.0, 0.0])
        total[0] += seconds
        total[1] += meter.bytes[name]
    print(f"{'ms':>7} {'KiB':>7}")
    for group, (spent, size) in sorted(totals.items(), key=lambda item: -item[1][1])[:45]:
        print(f"{1000 * spent:7.1f} {size / 1024:7.0f} {group}")
    print(
        f"{1000 * sum(meter.seconds.values()):7.1f} {sum(meter.bytes.values()) / 1024:7.0f} of {len(meter.seconds)} modules; {resident() >> 20} MiB in all"
    )


if __name__ == "__main__":
    main(sys.argv[1:])
