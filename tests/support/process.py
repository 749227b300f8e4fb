"""The installed program as a person runs it: real processes on loopback."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

import yaml
from aiohttp import ClientError, ClientSession, ClientTimeout

from tests.support.forks import Forked, fork


class Program:
    """One `gateway …` process; its stderr is in `log`. Usually it is forked: see `tests.support.forks`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.log = folder / "log"
        self._process: asyncio.subprocess.Process | Forked | None = None

    async def start(self, *arguments: str, env: dict[str, str] | None = None) -> None:
        with self.log.open("ab") as output, open(os.devnull, "rb") as nothing:
            files = {0: nothing.fileno(), 1: output.fileno(), 2: output.fileno()}
            self._process = await fork(["gateway", *arguments], files, cwd=self.folder, env=env)

    async def start_cold(self, *arguments: str) -> None:
        """Starts it as a shell does, by Python."""
        await self._start("-m", "gateway", *arguments)

    async def start_with_sockets(self, sockets: Sequence[tuple[str, socket.socket]], *arguments: str) -> None:
        """Starts it as systemd does where it listens itself: with listening sockets, by name (sd_listen_fds(3))."""
        # Each of them on a number of its own first: 3 and up may be in use.
        numbers = [sock.fileno() for _, sock in sockets]
        names = ":".join(name for name, _ in sockets)
        program = (
            "import fcntl, os, sys\n"
            f"spare = [fcntl.fcntl(number, fcntl.F_DUPFD, 100) for number in {numbers}]\n"
            "for index, number in enumerate(spare): os.dup2(number, 3 + index)\n"
            f"os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS='{len(numbers)}',"
            f" LISTEN_FDNAMES='{names}')\n"
            "os.execv(sys.executable, [sys.executable, '-m', 'gateway', *sys.argv[1:]])\n"
        )
        await self._start("-c", program, *arguments, pass_fds=numbers)

    async def _start(self, *arguments: str, env: dict[str, str] | None = None, pass_fds: Sequence[int] = ()) -> None:
        with self.log.open("ab") as output:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable, *arguments, stdout=output, stderr=output, cwd=self.folder, env=env, pass_fds=pass_fds
            )

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def has_ended(self) -> bool:
        assert self._process is not None
        return self._process.returncode is not None

    def write(self, name: str, content: Any) -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        # In one step, as editors save: a reload that happens to come just then must not find half of it.
        target = path.resolve()
        new = target.with_name(f".{target.name}.new")
        new.write_text(content if isinstance(content, str) else yaml.safe_dump(content))
        new.replace(target)
        return path

    def send(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def has_held_signals(self) -> bool:
        """Whether it has come so far that signals wait for it instead of ending it."""
        assert self._process is not None
        held = 0
        # A child that has not yet become another program holds them too, but not for long.
        if b"-m\0gateway\0" not in Path(f"/proc/{self._process.pid}/cmdline").read_bytes():
            return False
        for line in Path(f"/proc/{self._process.pid}/status").read_text().splitlines():
            name, _, value = line.partition(":")
            if name in ("SigBlk", "SigCgt"):
                held |= int(value, 16)
        return bool(held & 1 << (signal.SIGUSR2 - 1))

    async def wait(self, timeout: float = 60.0) -> int:
        """The exit code."""
        assert self._process is not None
        async with asyncio.timeout(timeout):
            return await self._process.wait()

    async def close(self) -> None:
        if self._process is not None and self._process.returncode is None:
            self._process.kill()
            await self._process.wait()

    async def wait_ok(self, port: int, path: str = "/readyz", status: int = 200, timeout: float = 60.0) -> str:
        """Waits until an endpoint answers with a status; the body of that answer."""
        async with asyncio.timeout(timeout), ClientSession(timeout=ClientTimeout(total=10)) as session:
            while True:
                try:
                    async with session.get(f"http://127.0.0.1:{port}{path}") as response:
                        text = await response.text()
                        if response.status == status:
                            return text
                except (ClientError, OSError, TimeoutError):
                    assert self._process is not None
                    assert self._process.returncode is None, (self._process.returncode, self.log.read_text())
                await asyncio.sleep(0.02)


async def get_json(port: int, path: str) -> Any:
    async with ClientSession(timeout=ClientTimeout(total=30)) as session:
        async with session.get(f"http://127.0.0.1:{port}{path}") as response:
            return await response.json()


async def run(*arguments: str, cwd: Path | None = None) -> tuple[int, str, str]:
    """What a `gateway` command that ends by itself says: its exit code, stdout and stderr."""
    with open(os.devnull, "rb") as nothing, TemporaryFile() as output, TemporaryFile() as errors:
        files = {0: nothing.fileno(), 1: output.fileno(), 2: errors.fileno()}
        process = await fork(["gateway", *arguments], files, cwd=cwd)
        async with asyncio.timeout(60):
            code = await process.wait()
        for file in (output, errors):
            file.seek(0)
        return code, output.read().decode(), errors.read().decode()
