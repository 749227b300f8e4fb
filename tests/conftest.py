"""Fixtures that several kinds of tests share."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from hypothesis import settings

from gateway.permission.calls import Calls
from gateway.registry.embedded.server import EmbeddedRegistry

# Before anybody imports it: its assertions explain themselves like a test's.
pytest.register_assert_rewrite("tests.support")

from tests.support.examples import PROFILE  # noqa: E402
from tests.support.origin import Origin  # noqa: E402
from tests.support.proxy import Proxy  # noqa: E402

settings.load_profile(PROFILE)


SLOW = ("tests/console/", "tests/integration/", "tests/purity/", "tests/faults/", "tests/docs/", "tests/properties/")
"""What waits for processes or tries much. It comes first, so that at the end no process is left with it alone."""


def pytest_xdist_auto_num_workers() -> int:
    """One process more than there are cores: tests of processes wait much of the time."""
    return (os.cpu_count() or 1) + 1


_crashed: set[str] = set()


@pytest.hookimpl(optionalhook=True)
def pytest_handlecrashitem(crashitem: str, report: pytest.TestReport, sched: Any) -> None:
    """A test whose process died under it runs once more, and that is said; a second time it fails.

    CPython 3.11.7 was seen to die of a segmentation fault in its garbage collector, under tests that have nothing in common, in
    about one run of three. No assertion is tried twice: a test that fails has failed.
    """
    if crashitem in _crashed:
        return
    _crashed.add(crashitem)
    print(f"\n!!! the interpreter died under {crashitem}: it runs again in another process", file=sys.stderr)
    sched.mark_test_pending(crashitem)
    report.outcome = "rerun"  # type: ignore[assignment]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Slow tests first. Refuses names that are others in every process: all of them must agree on what there is."""
    nameless = [item.nodeid for item in items if " object at 0x" in item.nodeid]
    if nameless:
        raise pytest.UsageError(f"give these parameters ids of their own: {nameless[0]}")
    items.sort(key=lambda item: not item.nodeid.startswith(SLOW))


@pytest.fixture(autouse=True)
def _no_signals_held() -> Iterator[None]:
    """A command that is called in this process holds signals until it serves; what it does not give back, children inherit."""
    held = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    yield
    signal.pthread_sigmask(signal.SIG_SETMASK, held)


@pytest.fixture
async def registry() -> AsyncIterator[EmbeddedRegistry]:
    """An embedded registry on a free port that has nothing to relearn."""
    registry = EmbeddedRegistry("127.0.0.1", 0, warmup=0)
    await registry.start()
    yield registry
    await registry.stop()


@pytest.fixture
async def origin() -> AsyncIterator[Origin]:
    """A recording origin server."""
    origin = Origin()
    await origin.start()
    yield origin
    await origin.close()


@pytest.fixture
async def proxy(origin: Origin) -> AsyncIterator[Proxy]:
    """An entry listener that routes /A to `origin` (baseline) and, marked `group=gray`, to its second port (gray)."""
    proxy = Proxy()
    await proxy.start(origin)
    yield proxy
    await proxy.close()


@pytest.fixture
async def calls() -> AsyncIterator[Calls]:
    """What asks authorization services."""
    found = Calls()
    yield found
    await found.close()
