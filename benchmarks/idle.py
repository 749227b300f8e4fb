"""`python -m benchmarks.idle`: what a proxy is before it does anything: the time from its start to ready, memory, and wakeups.

A gateway and a sidecar are ready when `/readyz` says so; nginx and Envoy when they respond to a request. The sidecar is as a pod
has it: probed. `sidecar, scraped` has been read by Prometheus as well.

Memory that is not anonymous is pages of files, which processes of one image share. Our modules are compiled to bytecode first, as
an installed package is: without that a start takes half as long again.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import click
import yaml

from benchmarks.contenders import Setting, envoy_binary
from benchmarks.machine import Missing, cpu_seconds, describe, resident_bytes, start, tool, voluntary_switches
from gateway.release.ports import free_port

SETTLES = 2.0
"""Seconds after which a process that does nothing is idle."""
WATCHED = 5.0
"""Seconds for which wakeups are counted from then on."""
Begin = Callable[[Path], tuple[list[str], str]]
"""Writes the configuration into a folder; returns the command, and the URL that is 200 when the program is ready."""


def _gateway(folder: Path) -> tuple[list[str], str]:
    admin = free_port()
    registry = {"kind": "static", "services": {"a": [{"address": f"127.0.0.1:{free_port()}"}]}}
    config: dict[str, object] = {"listen": f"127.0.0.1:{free_port()}", "admin": f"127.0.0.1:{admin}"}
    config |= {"registry": registry}
    config["routes"] = [{"path": "/A", "service": "a"}]
    return _ours(folder, "serve", config), f"http://127.0.0.1:{admin}/readyz"


def _sidecar(app: int) -> Begin:
    def begin(folder: Path) -> tuple[list[str], str]:
        admin = free_port()
        addresses = {name: f"127.0.0.1:{free_port()}" for name in ("inbound", "outbound")}
        config: dict[str, object] = {
            "service": "a",
            "app": f"127.0.0.1:{app}",
            "admin": f"127.0.0.1:{admin}",
            **addresses,
        }
        config["registry"] = {"kind": "static", "services": {}}
        return _ours(folder, "sidecar", config), f"http://127.0.0.1:{admin}/readyz"

    return begin


def _ours(folder: Path, role: str, config: dict[str, object]) -> list[str]:
    path = folder / f"{role}.yaml"
    path.write_text(yaml.safe_dump(config))
    return [sys.executable, "-m", "gateway", role, "-c", str(path)]


def _nginx(folder: Path) -> tuple[list[str], str]:
    setting = Setting(folder, set(), set())
    port = free_port()
    values = {"label": "nginx", "port": port, "workers": 1, "log": "off", "lanes": "gray gray;", "ssl": "", "pair": ""}
    config = setting.render("nginx.conf", "nginx.conf", **values)
    return [tool("nginx", "nginx-light"), "-c", str(config), "-p", str(folder)], f"http://127.0.0.1:{port}/none"


def _envoy(folder: Path) -> tuple[list[str], str]:
    port = free_port()
    config = Setting(folder, set(), set()).render("envoy.yaml", "envoy.yaml", port=port)
    arguments = [envoy_binary(), "-c", str(config), "--concurrency", "1", "-l", "error", "--use-dynamic-base-id"]
    return arguments, f"http://127.0.0.1:{port}/none"


def _is_ready(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=1):
            return True
    except urllib.error.HTTPError as error:
        return error.code == 404
    except OSError:
        return False


class Idle(NamedTuple):
    """One start."""

    ready: float
    """Seconds until it was."""
    used: float
    """CPU seconds by then."""
    resident: float
    anonymous: float
    """Bytes when idle."""
    wakeups: float
    """A second."""


def measure(begin: Begin, seen: str = "") -> Idle:
    """Starts a program once; `seen` is a path that is requested in between."""
    folder = Path(tempfile.mkdtemp(prefix="gateway-bench-"))
    folder.chmod(0o755)  # nginx workers run as another user
    arguments, url = begin(folder)
    began = time.perf_counter()
    process = start(arguments, os.sched_getaffinity(0), folder / "log")
    try:
        while not _is_ready(url):
            if process.poll() is not None or time.perf_counter() - began > 60:
                raise RuntimeError(f"{arguments[0]} is not ready:\n{(folder / 'log').read_text()[-2000:]}")
            time.sleep(0.005)
        took, used = time.perf_counter() - began, cpu_seconds(process.pid)
        if seen:
            urllib.request.urlopen(url.replace("/readyz", seen), timeout=10).read()
        time.sleep(SETTLES)
        before = voluntary_switches(process.pid)
        time.sleep(WATCHED)
        wakeups = (voluntary_switches(process.pid) - before) / WATCHED
        return Idle(took, used, resident_bytes(process.pid), resident_bytes(process.pid, "RssAnon"), wakeups)
    finally:
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(10)
        process.kill()
        shutil.rmtree(folder, ignore_errors=True)


@click.command()
@click.option("--rounds", default=5, show_default=True, help="Starts of each; the medians are reported.")
def main(rounds: int) -> None:
    """Start to ready, and idle memory, of the gateway, the sidecar, nginx and Envoy."""
    with tempfile.TemporaryDirectory(prefix="gateway-bench-") as compiled:
        os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
        os.environ["PYTHONPYCACHEPREFIX"] = compiled
        asyncio.run(_main(rounds))


async def _main(rounds: int) -> None:
    application = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0)
    sidecar = _sidecar(application.sockets[0].getsockname()[1])
    contenders: dict[str, tuple[Begin, str]] = {
        "gateway": (_gateway, ""),
        "sidecar": (sidecar, ""),
        "sidecar, scraped": (sidecar, "/metrics"),
        "sidecar, whole admin API": (sidecar, "/api/v1/status"),
        "nginx": (_nginx, ""),
        "Envoy": (_envoy, ""),
    }
    print(f"{describe(sys.executable)}; medians of {rounds} starts\n")
    print("| program | start to ready, s | CPU s by then | idle RSS MiB | of it anonymous | wakeups/s |")
    print("|---|---:|---:|---:|---:|---:|")
    for name, (begin, seen) in contenders.items():
        try:
            await asyncio.to_thread(measure, begin, seen)  # the first start writes the bytecode
            found = [await asyncio.to_thread(measure, begin, seen) for _ in range(rounds)]
        except Missing as missing:
            print(f"SKIPPED {name}: {missing}", file=sys.stderr)
            continue
        ready, used, resident, anonymous, wakeups = map(statistics.median, zip(*found, strict=True))
        sizes = f"{resident / 2**20:.1f} | {anonymous / 2**20:.1f}"
        print(f"| {name} | {ready:.2f} | {used:.2f} | {sizes} | {wakeups:.0f} |", flush=True)
    application.close()


if __name__ == "__main__":
    main()
