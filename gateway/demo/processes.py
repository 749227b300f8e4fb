"""The demo's processes: started with their logs in files, waited for, and gone when the demo is gone."""

from __future__ import annotations

import asyncio
import ctypes
import errno
import fcntl
import os
import random
import shutil
import signal
import socket
import sys
import tempfile
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from gateway.errors import GatewayError
from gateway.registry.nacos.payload import PORT_OFFSET

STOP_TIMEOUT = 15.0
"""Seconds that a process told to stop has before it is killed."""
_PR_SET_PDEATHSIG = 1


class ProcessFailed(GatewayError):
    """A process ended, or did not do what was waited for. The text names its log."""


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
        """SIGTERM, and SIGKILL where that does not end it in time."""
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

        `grace` is how many seconds it has to end when it is told to.
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
        """Stops everything, last started first stopped, all at once where order does not matter any more."""
        await asyncio.gather(*(process.stop() for process in reversed(self._all)))
        self._all.clear()

    def check(self) -> None:
        """Raises ProcessFailed where one ended that was not stopped."""
        for process in self._all:
            if not process.is_running:
                raise ProcessFailed(f"{process.name} ended unexpectedly; its log {process.log} ends:\n{process.tail()}")

    def forget(self, process: Process) -> None:
        """Takes a stopped process off the list."""
        self._all.remove(process)


def _end_with_parent() -> None:
    """So that not even `kill -9` of the demo leaves a process behind (prctl(2))."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def program_name() -> str:
    """How a person calls this very program from the working directory: `gateway`, if that is what a shell finds."""
    mine = Path(sys.executable).parent / "gateway"
    found = shutil.which("gateway")
    if found is not None and mine.exists() and mine.samefile(found):
        return "gateway"
    if not mine.exists():
        return f"{sys.executable} -m gateway"
    return str(mine.relative_to(Path.cwd()) if mine.is_relative_to(Path.cwd()) else mine)


_given: set[int] = set()


def free_port() -> int:
    """A port that is free now on loopback, and was given neither before nor by another process of this user that still runs.

    Below the range from which the kernel takes ports for outgoing connections (Linux: 32768 and up): one of those could be
    taken by any connection before the program that it is meant for listens on it. The port 1000 above, which is the one for
    gRPC should that program be a registry, is free too, and given to nobody: it is in a thousand of an odd number.
    """
    while True:
        port = random.randrange(20_000, 32_000, 2000) + random.randrange(1000)
        if port in _given or not _claim(port):
            continue
        if _is_free(port) and _is_free(port + PORT_OFFSET):
            _given.add(port)
            return port


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _claim(port: int) -> bool:
    """Whether this process, and no other one, gives this port away from now on: a lock on the byte of that number."""
    try:
        fcntl.lockf(_claims(), fcntl.LOCK_EX | fcntl.LOCK_NB, 1, port)
    except OSError as error:
        return error.errno not in (errno.EACCES, errno.EAGAIN)  # a file system without locks: as good as it gets
    return True


@cache
def _claims() -> int:
    """The file of the locks. They go with the process, or if it is opened and closed again: it stays open."""
    path = Path(tempfile.gettempdir()) / f"gray-gateway-ports-{os.getuid()}"
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
