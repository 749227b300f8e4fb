"""The demo's processes: they log to files, and end with the demo."""

from __future__ import annotations

import asyncio
import ctypes
import os
import shutil
import signal
import sys
from collections.abc import Mapping
from pathlib import Path

from gateway.errors import GatewayError

STOP_TIMEOUT = 15.0
"""Seconds between SIGTERM and SIGKILL."""
_PR_SET_PDEATHSIG = 1


class ProcessFailed(GatewayError):
    """A process ended, or did not do what was expected. The text names its log."""


class Process:
    """One running program and its log."""

    def __init__(self, name: str, process: asyncio.subprocess.Process, log: Path, grace: float) -> None:
        self.name = name
        self._grace = grace
        self.log = log
        self._process = process

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    @property
    def is_running(self) -> bool:
        """Whether it has not ended."""
        return self._process.returncode is None

    async def stop(self) -> None:
        """SIGTERM, and SIGKILL if that does not end it in time."""
        if self.is_running:
            self._process.terminate()
            try:
                async with asyncio.timeout(self._grace):
                    await self._process.wait()
            except TimeoutError:
                await self.kill()

    async def kill(self) -> None:
        """SIGKILL."""
        self._process.kill()
        await self._process.wait()

    def tail(self, lines: int = 15) -> str:
        """The end of its log."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])


class Processes:
    """All of them."""

    def __init__(self, logs: Path) -> None:
        self._logs = logs
        self._all: list[Process] = []

    async def start(
        self,
        name: str,
        *arguments: str,
        program: str = sys.executable,
        environment: Mapping[str, str] | None = None,
        folder: Path | None = None,
        grace: float = STOP_TIMEOUT,
    ) -> Process:
        """Starts `<program> <arguments>`, Python by default, in `folder`; its output goes to `<name>.log`.

        `grace` is how many seconds it has to end after SIGTERM.
        """
        log = self._logs / f"{name}.log"
        with log.open("ab") as output:
            process = await asyncio.create_subprocess_exec(
                program,
                *arguments,
                env={**os.environ, **(environment or {})},
                cwd=folder,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,  # Ctrl-C reaches the demo alone, which stops the others in order
                preexec_fn=_end_with_parent if sys.platform == "linux" else None,
            )
        started = Process(name, process, log, grace)
        self._all.append(started)
        return started

    async def stop_all(self) -> None:
        """Stops everything, in reverse order of starting; all at once if the order no longer matters."""
        await asyncio.gather(*(process.stop() for process in reversed(self._all)))
        self._all.clear()

    def check(self) -> None:
        """Raises ProcessFailed if a process has ended without being stopped."""
        for process in self._all:
            if not process.is_running:
                raise ProcessFailed(
                    f"{process.name} ended unexpectedly; the end of its log {process.log}:\n{process.tail()}"
                )

    def forget(self, process: Process) -> None:
        """Takes a stopped process off the list."""
        self._all.remove(process)


def _end_with_parent() -> None:
    """Makes the process end with the demo, even if the demo is killed by `kill -9` (prctl(2))."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def program_name() -> str:
    """How a person runs this program from the working directory: `gateway`, if a shell finds it."""
    mine = Path(sys.executable).parent / "gateway"
    found = shutil.which("gateway")
    if found is not None and mine.exists() and mine.samefile(found):
        return "gateway"
    if not mine.exists():
        return f"{sys.executable} -m gateway"
    return str(mine.relative_to(Path.cwd()) if mine.is_relative_to(Path.cwd()) else mine)
