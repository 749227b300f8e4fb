"""What signals mean, the same for every role. Imports nothing else of the program: it is there before the rest is loaded."""

from __future__ import annotations

import signal
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import asyncio

OBEYED: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)
"""Each of them would end a process that does not handle it."""


def hold_signals() -> None:
    """Has signals wait until `obey_signals`: loading the program takes a moment, and nobody knows how long."""
    signal.pthread_sigmask(signal.SIG_BLOCK, OBEYED)


def obey_signals(loop: asyncio.AbstractEventLoop, actions: Mapping[signal.Signals, Callable[[], None]]) -> None:
    """Has the loop act on signals, those that wait included; those of `OBEYED` without an action are ignored."""
    for number in OBEYED:
        loop.add_signal_handler(number, actions.get(number, _ignore))
    signal.pthread_sigmask(signal.SIG_UNBLOCK, OBEYED)


def _ignore() -> None:
    """Nothing is to happen."""
