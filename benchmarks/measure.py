"""One measurement: load on a proxy for some seconds, and what that cost it."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.contenders import Contender
from benchmarks.machine import cpu_seconds, resident_bytes, tool

SCRIPTS = Path(__file__).parent / "wrk"
WORKLOADS: dict[str, tuple[str, list[str], int]] = {
    "small": ("/A/items?group=gray", [], 64),
    "browser": ("/A/items", ["-s", str(SCRIPTS / "browser.lua")], 64),
    "post": ("/A/items?group=gray", ["-s", str(SCRIPTS / "post.lua")], 64),
    "large": ("/A/large.bin?group=gray", [], 8),
    "tls": ("/A/items?group=gray", [], 64),
}
"""Target, further arguments for wrk, and connections, by name."""
EXPLAINED = {
    "small": "GET, 14 bytes of JSON",
    "browser": "browser-like heads, about 800 bytes, each different",
    "post": "POST of 1 KB",
    "large": "8 MB down",
    "tls": "GET, 14 bytes of JSON, over TLS 1.3",
}

_MICROSECONDS = {"us": 1.0, "ms": 1e3, "s": 1e6}


@dataclass
class Sample:
    """One measurement. Times are in microseconds."""

    cost: float
    rate: float
    p50: float
    p99: float
    resident: int


@dataclass
class Load:
    """What wrk has seen: requests, requests a second, latencies in microseconds."""

    count: int
    rate: float
    p50: float
    p99: float


def run_wrk(name: str, url: str, connections: int, seconds: int, cores: set[int], extra: Sequence[str] = ()) -> Load:
    """wrk's connections, each sending its next request when the last one was answered. Raises RuntimeError if one fails."""
    threads = min(len(cores), 2)
    command = ["taskset", "-c", ",".join(map(str, sorted(cores))), tool("wrk", "wrk"), "--latency", f"-t{threads}"]
    command += [f"-c{connections}", f"-d{seconds}s", *extra, url]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    output = done.stdout
    count = re.search(r"(\d+) requests in", output)
    rate = re.search(r"Requests/sec:\s+([\d.]+)", output)
    if done.returncode or count is None or rate is None or not int(count[1]):
        raise RuntimeError(f"wrk failed against {name}:\n{output}{done.stderr}")
    if "Non-2xx" in output or re.search(r"Socket errors: .*(connect|timeout) [1-9]", output):
        raise RuntimeError(f"requests to {name} failed:\n{output}")
    return Load(int(count[1]), float(rate[1]), _latency(output, "50"), _latency(output, "99"))


def closed_loop(contender: Contender, workload: str, seconds: int, cores: set[int]) -> Sample:
    """What a workload costs a proxy, under wrk."""
    target, extra, connections = WORKLOADS[workload]
    before = cpu_seconds(contender.process.pid)
    load = run_wrk(contender.name, f"{contender.url}{target}", connections, seconds, cores, extra)
    used = cpu_seconds(contender.process.pid) - before
    resident = resident_bytes(contender.process.pid)
    return Sample(used / load.count * 1e6, load.rate, load.p50, load.p99, resident)


def open_loop(contender: Contender, rate: int, seconds: float, cores: set[int]) -> dict[str, float]:
    """Latency percentiles in microseconds at a fixed rate of requests."""
    command = ["taskset", "-c", ",".join(map(str, sorted(cores))), sys.executable, "-m", "benchmarks.openloop"]
    command += [str(contender.port), str(rate), f"{seconds:g}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"the open-loop client failed against {contender.name}:\n{done.stderr}")
    percentiles: dict[str, float] = json.loads(done.stdout)
    if percentiles["lost"]:
        raise RuntimeError(f"{contender.name} closed {percentiles['lost']:.0f} connections")
    return percentiles


def _latency(output: str, percentile: str) -> float:
    found = re.search(rf"^\s+{percentile}%\s+([\d.]+)(us|ms|s)", output, re.MULTILINE)
    assert found is not None
    return float(found[1]) * _MICROSECONDS[found[2]]
