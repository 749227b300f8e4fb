"""Pinning processes to cores and reading what they cost."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from pathlib import Path


class Missing(Exception):
    """A tool that the benchmark needs is not installed."""


def tool(name: str, package: str) -> str:
    """The path of a program. Raises Missing with what to install."""
    found = shutil.which(name) or shutil.which(name, path="/usr/sbin:/sbin")
    if found is None:
        raise Missing(f"{name} is not installed; on Debian: apt-get install {package}")
    return found


def start(arguments: list[str], core: int, log: Path) -> subprocess.Popen[bytes]:
    """Starts a program pinned to a core, away from the sources, so that `python -m gateway` runs what is installed."""
    with log.open("ab") as output:
        return subprocess.Popen(
            arguments, stdout=output, stderr=output, cwd=log.parent, preexec_fn=lambda: os.sched_setaffinity(0, {core})
        )


def wait_listening(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    """Waits until somebody listens on a loopback port. Raises RuntimeError with the log where nobody will."""
    deadline = time.monotonic() + 15
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 0.2).close()
            return
        except OSError:
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"nothing listens on port {port}:\n{log.read_text()}") from None
            time.sleep(0.05)


def cpu_seconds(pid: int) -> float:
    """CPU time that a process and its children have used so far, in seconds (schedstat counts nanoseconds)."""
    total = 0
    for process in [pid, *_children(pid)]:
        for task in Path(f"/proc/{process}/task").iterdir():
            total += int((task / "schedstat").read_text().split()[0])
    return total / 1e9


def resident_bytes(pid: int) -> int:
    """Resident memory of a process and its children."""
    total = 0
    for process in [pid, *_children(pid)]:
        for line in Path(f"/proc/{process}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                total += int(line.split()[1]) * 1024
    return total


def _children(pid: int) -> list[int]:
    text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    return [int(child) for child in text.split()]
