"""Processes that outlive the one that started them, are found again, and are never started twice.

A process holds a lock on a file for as long as it lives (flock(2): the lock belongs to what was opened, which it inherits). So
whether it runs is asked of the kernel, not of a number that somebody wrote down and that may be another process's by now. It
writes its own id before it becomes the program, so that there is no moment at which it runs and nobody knows how to end it.
"""

from __future__ import annotations

import errno
import fcntl
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from gateway.errors import GatewayError
from gateway.files import last_lines

_SERVE: Final = 'echo $$ > "$1.new" && mv "$1.new" "$1.pid" && cd "$2" && shift 2 && exec "$@"'
"""Becomes the program."""
_FINISH: Final = (
    'echo $$ > "$1.new" && mv "$1.new" "$1.pid" && cd "$2" && name=$1 && shift 2 && { "$@"; code=$?; '
    'echo $code > "$name.new" && mv "$name.new" "$name.exit"; }'
)
"""Runs the program, and leaves its exit code."""
LOCK: Final = 3
"""The lock's descriptor in the process."""

_ours: set[int] = set()
"""Processes that this one started, and has not heard the end of."""


class Detached:
    """One such process: `folder/name.lock`, `.pid`, `.exit` and `.log`."""

    def __init__(self, folder: Path, name: str) -> None:
        self._base = folder / name
        self._started: int | None = None

    @property
    def log(self) -> Path:
        """What it says."""
        return self._path("log")

    @property
    def was_started(self) -> bool:
        """Whether it ever ran."""
        return self._path("pid").exists() or self.is_running

    @property
    def is_running(self) -> bool:
        """Whether it lives."""
        reap()
        try:
            descriptor = os.open(self._path("lock"), os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            return False
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno not in (errno.EAGAIN, errno.EACCES):
                raise
            return True
        finally:
            os.close(descriptor)
        return False

    @property
    def exit_code(self) -> int | None:
        """How a command ended; None: not yet, or it was killed."""
        try:
            return int(self._path("exit").read_text())
        except (OSError, ValueError):
            return None

    def start(
        self, command: Sequence[str], folder: Path, environment: Mapping[str, str], finishes: bool = False
    ) -> None:
        """Starts it if it does not run. `finishes`: it ends, and its exit code counts. Raises GatewayError."""
        try:
            self._start(command, folder, environment, finishes)
        except OSError as error:
            raise GatewayError(f"cannot start {command[0]}: {error.strerror or error}") from error

    def _start(self, command: Sequence[str], folder: Path, environment: Mapping[str, str], finishes: bool) -> None:
        self._base.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self._path("lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(descriptor)
            return  # it runs
        try:
            self.forget()
            words = ["sh", "-c", _FINISH if finishes else _SERVE, "sh", str(self._base), str(folder), *command]
            path = f"{os.path.dirname(sys.executable)}:{environment.get('PATH', os.defpath)}"  # noqa: PTH120 - of this program
            self._started = spawn(words, {**environment, "PATH": path}, self.log, descriptor)
            _ours.add(self._started)
        finally:
            os.close(descriptor)

    def signal(self, number: signal.Signals) -> None:
        """Sends a signal to it and all that it started, if it runs."""
        if not self.is_running:
            return
        try:
            pid = int(self._path("pid").read_text())
        except (OSError, ValueError):
            if self._started is None:
                return  # it has not even written its id: the next look finds it
            pid = self._started
        with suppress(ProcessLookupError):
            os.killpg(pid, number)

    def forget(self) -> None:
        """It ended as it was told: the next start is its first."""
        for kind in ("pid", "exit"):
            self._path(kind).unlink(missing_ok=True)

    def tail(self, lines: int = 10) -> str:
        """The end of its log."""
        try:
            return b"\n".join(line.rstrip(b"\n") for line in last_lines(self.log, lines)).decode(errors="replace")
        except OSError:
            return ""

    def _path(self, kind: str) -> Path:
        return self._base.with_name(f"{self._base.name}.{kind}")


def spawn(words: list[str], environment: Mapping[str, str], log: Path, lock: int) -> int:
    """Starts a shell that leads a session of its own, says everything to a log, and has a lock; its id. Raises OSError."""
    return os.posix_spawn(
        "/bin/sh",
        words,
        environment,
        file_actions=[
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, str(log), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600),
            (os.POSIX_SPAWN_DUP2, 1, 2),
            (os.POSIX_SPAWN_DUP2, lock, LOCK),
        ],
        setsid=True,
        setsigmask=[],  # what this process holds back is not held back there
    )


def reap() -> None:
    """Hears of children that have ended: they would stay as zombies, and their locks go with them anyway."""
    for pid in list(_ours):
        try:
            ended, _ = os.waitpid(pid, os.WNOHANG)
        except ChildProcessError:
            ended = pid
        if ended:
            _ours.discard(pid)


_OURS: Final = ("GATEWAY_", "LISTEN_", "NOTIFY_SOCKET", "WATCHDOG_", "INVOCATION_ID", "CREDENTIALS_DIRECTORY")
"""Beginnings of variables that are this process's alone: its settings, and what its service manager tells it."""
_SHARED: Final = ("GATEWAY_LOG_LEVEL", "GATEWAY_LOG_FORMAT")


def clean_environment() -> dict[str, str]:
    """The environment of what is started: this process's, without what is meant for this process alone."""
    return {name: value for name, value in os.environ.items() if not name.startswith(_OURS) or name in _SHARED}
