"""Processes of this program without the second that Python needs to load it: forked by one that has loaded it already.

What is forked is a process like any other, with its own pid, signals, arguments, environment, folder and open files. It
runs the module as `python -m` does and ends as Python ends. Processes that it starts itself come from the same place. What
it does not show is the start of Python and that each module imports what it needs: tests of these start a real one.

For each process there is a second one, its keeper, which is its parent and tells the one that asked how it has ended.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import functools
import gc
import importlib
import io
import json
import os
import pkgutil
import resource
import runpy
import select
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any, Final

import gateway
from gateway.release import detached

RUN: Final = ("gateway.__main__", "gateway.app.worker_process", "gateway.demo.service")
"""What runs as soon as it is loaded, or is loaded anew to be run."""
LATE: Final = ("consul", "uvloop")
"""Libraries that modules load only when they need them."""
SEQUENCED: Final = socket.SOCK_SEQPACKET
HIGH: Final = 500
"""Open files that a process did not ask for have numbers from here on: those it names are low."""
_NUMBER: Final = struct.Struct("i")
_really_create = asyncio.create_subprocess_exec
_really_spawn = detached.spawn


class Forked:
    """A process, with what `asyncio.subprocess.Process` has."""

    def __init__(self, pid: int, told: socket.socket) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self._ended = asyncio.Event()
        self._told = told.detach()
        asyncio.get_running_loop().add_reader(self._told, self._read)

    def _read(self) -> None:
        asyncio.get_running_loop().remove_reader(self._told)
        status = os.read(self._told, _NUMBER.size)
        os.close(self._told)
        self.returncode = _NUMBER.unpack(status)[0] if status else -signal.SIGKILL
        self._ended.set()

    async def wait(self) -> int:
        """The exit code, or the signal's number below zero."""
        await self._ended.wait()
        assert self.returncode is not None
        return self.returncode

    def send_signal(self, number: int) -> None:
        with contextlib.suppress(ProcessLookupError):  # it has ended, and we have not read it yet
            if self.returncode is None:
                os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)


async def fork(
    arguments: Sequence[str],
    files: Mapping[int, int],
    *,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    start_new_session: bool = False,
    ends_with_us: bool = False,
) -> Forked:
    """Starts `python -m <arguments>`. `files` are its open files, by their numbers there, as numbers here.

    With `ends_with_us` it is told to end when this process has ended.
    """
    asked = _asked(arguments, files, cwd, env, start_new_session=start_new_session, ends_with_us=ends_with_us)
    told = socket.socket(socket.AF_UNIX, SEQUENCED)
    told.setblocking(False)
    loop = asyncio.get_running_loop()
    await loop.sock_connect(told, _address())
    socket.send_fds(told, [asked], list(files.values()))
    (pid,) = _NUMBER.unpack(await loop.sock_recv(told, _NUMBER.size))
    return Forked(pid, told)


def _asked(
    arguments: Sequence[str],
    files: Mapping[int, int],
    cwd: Path | None,
    env: Mapping[str, str] | None,
    *,
    start_new_session: bool,
    ends_with_us: bool,
    pid_file: str = "",
) -> bytes:
    """What is sent to ask for a process, which writes its id into a file first if there is a name of one."""
    asked = {
        "arguments": arguments,
        "cwd": str(cwd or Path.cwd()),
        "env": dict(os.environ if env is None else env),
        "numbers": list(files),
        "limits": resource.getrlimit(resource.RLIMIT_NOFILE),
        "new_session": start_new_session,
        "ends_with_asker": ends_with_us,
        "pid_file": pid_file,
    }
    return json.dumps(asked).encode()


@functools.cache
def _address() -> str:
    """Where processes are asked for. The server ends together with the process that has started it."""
    folder = tempfile.mkdtemp(prefix="gateway-forks-")
    path = f"{folder}/socket"
    lifeline, kept = os.pipe()
    with socket.socket(socket.AF_UNIX, SEQUENCED) as listening:
        listening.bind(path)
        listening.listen(64)
        # Nobody waits for it: it is told by `lifeline`, whose other end nobody else has.
        os.set_inheritable(kept, False)
        os.posix_spawn(
            sys.executable,
            [sys.executable, "-m", "tests.support.forks", path],
            {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
            file_actions=[
                (os.POSIX_SPAWN_DUP2, lifeline, 0),
                (os.POSIX_SPAWN_DUP2, listening.fileno(), HIGH),
            ],
        )
    os.close(lifeline)
    return path


async def _create(program: str, *arguments: str, **options: Any) -> Any:
    """`asyncio.create_subprocess_exec` of a forked process: modules of this program are forked."""
    modules = [argument for argument in arguments[:3] if argument.startswith("gateway")]
    streams = [options.pop(name, None) for name in ("stdin", "stdout", "stderr")]
    if program != sys.executable or not modules or asyncio.subprocess.PIPE in streams:
        names = ("stdin", "stdout", "stderr")
        return await _really_create(program, *arguments, **dict(zip(names, streams, strict=True)), **options)
    with contextlib.ExitStack() as stack:
        numbers = (number_of(stack, stream, own) for own, stream in enumerate(streams))
        files = {**dict(enumerate(numbers)), **{number: number for number in options.pop("pass_fds", ())}}
        # The one thing that this program has a child do before it becomes another: to ask for its parent's end.
        tied = options.pop("preexec_fn", None) is not None
        return await fork(arguments[arguments.index(modules[0]) :], files, ends_with_us=tied, **options)


def _spawn(words: list[str], environment: Mapping[str, str], log: Path, lock: int) -> int:
    """`gateway.release.detached.spawn` of a forked process: modules of this program are forked."""
    base, folder, python, option, module = [*words, "", "", ""][4:9]  # sh -c SCRIPT sh BASE FOLDER python -m MODULE
    if (python, option) != ("python", "-m") or module not in ("gateway", "gateway.demo.service"):
        return _really_spawn(words, environment, log, lock)
    with log.open("ab") as output, open(os.devnull, "rb") as nothing:
        files = {0: nothing.fileno(), 1: output.fileno(), 2: output.fileno(), detached.LOCK: lock}
        asked = _asked(
            words[8:],
            files,
            Path(folder),
            environment,
            start_new_session=True,
            ends_with_us=False,
            pid_file=f"{base}.pid",
        )
        with socket.socket(socket.AF_UNIX, SEQUENCED) as told:
            told.connect(_address())
            socket.send_fds(told, [asked], list(files.values()))
            pid: int = _NUMBER.unpack(told.recv(_NUMBER.size))[0]
    return pid


def number_of(stack: contextlib.ExitStack, stream: int | IO[Any] | None, own: int) -> int:
    """The open file that a `stdin=`, `stdout=` or `stderr=` means."""
    if stream is None:
        return own
    if stream == subprocess.DEVNULL:
        return stack.enter_context(open(os.devnull, "r+b", 0)).fileno()
    return stream if isinstance(stream, int) else stream.fileno()


def _serve(path: str) -> tuple[dict[str, Any], list[int]] | None:
    """Forks until the lifeline ends, in which case it is None; in a process that is to become another it is what was asked."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the tests
    modules = [module.name for module in pkgutil.walk_packages(gateway.__path__, "gateway.")]
    for name in (*modules, *LATE):
        if name not in RUN:
            importlib.import_module(name)
    gc.collect()
    gc.freeze()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # keepers end unnoticed
    with socket.socket(fileno=HIGH) as listening:
        while True:
            ready, _, _ = select.select([0, listening.fileno()], [], [])
            if 0 in ready:
                shutil.rmtree(Path(path).parent, ignore_errors=True)
                return None
            asking, _ = listening.accept()
            if os.fork():
                asking.close()
                continue
            listening.close()
            return _keep(asking)


def _keep(asking: socket.socket) -> tuple[dict[str, Any], list[int]]:
    """In a keeper: forks, tells the pid and the exit code, and ends. In the new process it returns what was asked for."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    told = fcntl.fcntl(asking.detach(), fcntl.F_DUPFD_CLOEXEC, HIGH)
    with socket.socket(fileno=told) as channel:
        data, files, _, _ = socket.recv_fds(channel, 1 << 20, 64)
        if not data:
            os._exit(0)  # whoever wanted to ask has ended
        asked: dict[str, Any] = json.loads(data)
        pid = os.fork()
        if pid == 0:
            return asked, files
        os.setsid()  # what is sent to the group of the one that asked is not for us
        os.closerange(0, told)
        os.closerange(told + 1, told + 1000)
        _tell(channel, pid)
        if asked["ends_with_asker"]:
            ready, _, _ = select.select([told, os.pidfd_open(pid)], [], [])
            if told in ready:
                os.kill(pid, signal.SIGTERM)
        _, status = os.waitpid(pid, 0)
        _tell(channel, os.waitstatus_to_exitcode(status))
    os._exit(0)


def _tell(channel: socket.socket, number: int) -> None:
    with contextlib.suppress(BrokenPipeError):  # the one that asked has ended meanwhile
        channel.send(_NUMBER.pack(number))


def _become(asked: dict[str, Any], files: list[int]) -> None:
    """Makes this process what was asked for, and runs it."""
    spare = [fcntl.fcntl(file, fcntl.F_DUPFD_CLOEXEC, HIGH) for file in files]
    os.closerange(0, HIGH)
    for file, number in zip(spare, asked["numbers"], strict=True):
        os.dup2(file, number)
        os.close(file)
    if asked["new_session"]:
        os.setsid()
    if asked["pid_file"]:
        Path(f"{asked['pid_file']}.new").write_text(str(os.getpid()))
        Path(f"{asked['pid_file']}.new").replace(asked["pid_file"])
    os.chdir(asked["cwd"])
    os.environ.clear()
    os.environ.update(asked["env"])
    time.tzset()
    resource.setrlimit(resource.RLIMIT_NOFILE, asked["limits"])
    sys.stdin = os.fdopen(0, closefd=False)
    sys.stdout = os.fdopen(1, "w", closefd=False)
    sys.stderr = io.TextIOWrapper(os.fdopen(2, "wb", closefd=False), errors="backslashreplace", line_buffering=True)
    setattr(asyncio, "create_subprocess_exec", _create)  # noqa: B010 (its many overloads)
    detached.spawn = _spawn
    module, *arguments = asked["arguments"]
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    place = sys.argv[1]
    _address = functools.cache(lambda: place)  # those it has forked ask where they came from
    if (found := _serve(place)) is not None:
        _become(*found)
