"""Finding tools, pinning processes to cores, and reading what they cost."""

from __future__ import annotations

import os
import platform
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path


class Missing(Exception):
    """A tool is not installed and cannot be."""


def tool(name: str, package: str) -> str:
    """The path of a program, from Debian's `package` where it has to be installed first. Raises Missing."""
    found = _find(name)
    if found is None and os.geteuid() == 0 and shutil.which("apt-get"):
        print(f"installing {package} …", file=sys.stderr, flush=True)
        for arguments in (["update", "-qq"], ["install", "-qq", "-y", "--no-install-recommends", package]):
            subprocess.run(["apt-get", *arguments], check=False, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        found = _find(name)
    if found is None:
        raise Missing(f"{name} is not installed; on Debian: apt-get install {package}")
    return found


def _find(name: str) -> str | None:
    beside = str(Path(sys.executable).parent)
    return shutil.which(name, path=beside) or shutil.which(name) or shutil.which(name, path="/usr/sbin:/sbin")


def start(
    arguments: list[str], cores: set[int], log: Path, environ: Mapping[str, str] | None = None
) -> subprocess.Popen[bytes]:
    """Starts a program pinned to cores, away from the sources, so that `python -m gateway` runs what is installed."""
    with log.open("ab") as output:
        return subprocess.Popen(
            arguments,
            stdout=output,
            stderr=output,
            cwd=log.parent,
            env={**os.environ, **(environ or {})},
            preexec_fn=lambda: os.sched_setaffinity(0, cores),
        )


def wait_listening(port: int, process: subprocess.Popen[bytes], log: Path, seconds: float = 20.0) -> None:
    """Waits until somebody listens on a loopback port. Raises RuntimeError with the log where nobody will."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 0.2).close()
            return
        except OSError:
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"nothing listens on port {port}:\n{log.read_text()[-2000:]}") from None
            time.sleep(0.05)


def cpu_seconds(pid: int) -> float:
    """CPU time that a process and its children have used so far, in seconds (schedstat counts nanoseconds)."""
    total = 0
    for process in [pid, *_children(pid)]:
        for task in Path(f"/proc/{process}/task").iterdir():
            total += int((task / "schedstat").read_text().split()[0])
    return total / 1e9


def resident_bytes(pid: int, kind: str = "VmRSS") -> int:
    """Resident memory of a process and its children, or a kind of it: `RssAnon`."""
    total = 0
    for process in [pid, *_children(pid)]:
        for line in Path(f"/proc/{process}/status").read_text().splitlines():
            if line.startswith(f"{kind}:"):
                total += int(line.split()[1]) * 1024
    return total


def voluntary_switches(pid: int) -> int:
    """How often the threads of a process and its children have gone to sleep, and so been woken up."""
    total = 0
    for process in [pid, *_children(pid)]:
        for status in Path(f"/proc/{process}/task").glob("*/status"):
            for line in status.read_text().splitlines():
                if line.startswith("voluntary_ctxt_switches:"):
                    total += int(line.split()[1])
    return total


def describe(python: str) -> str:
    """The machine in a line: processor, cores, kernel, and the Python that runs the gateway."""
    done = subprocess.run([python, "-VV"], capture_output=True, text=True, check=True)
    model = next(
        (
            line.split(":", 1)[1].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if "model name" in line
        ),
        platform.machine(),
    )
    return f"{model}, {os.cpu_count()} cores, Linux {platform.release()}, {done.stdout.split('(')[0].strip()}"


def commit() -> str:
    """The short commit of the sources, marked where they were changed."""
    try:
        done = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--abbrev=10"],
            capture_output=True,
            text=True,
            check=True,
            cwd=Path(__file__).parent,
        )
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return done.stdout.strip()


def _children(pid: int) -> list[int]:
    found: list[int] = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in (task / "children").read_text().split():
            found += [int(child), *_children(int(child))]
    return found
