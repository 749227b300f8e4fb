"""`python -m benchmarks.http2`: HTTP/2 and gRPC beside nginx and Envoy, one core for each in turn.

Every proxy takes h2c, puts `x-group: gray` on the gray pool and everything else on the baseline, and speaks h2c to nginx, the
origin, which ends each response with trailers, as servers of gRPC do. `h2load` is the load. Before anything is measured,
`benchmarks.grpccheck` looks at every response of a few hundred gRPC calls through each proxy: status, body and trailers.
"""

from __future__ import annotations

import re
import shutil
import statistics
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import click
import yaml

from benchmarks import grpccheck
from benchmarks.contenders import Contender, Setting, envoy_binary
from benchmarks.machine import Missing, commit, cpu_seconds, describe, resident_bytes, start, tool, wait_listening
from benchmarks.options import available_cores, interpreters, python_option, workloads_of
from gateway.release.ports import free_port

REFERENCE = "nginx"
UNARY = "/shop.Items/Get"
STREAM = "/shop.Items/Stream"
HEADS = ["content-type: application/grpc", "te: trailers", "user-agent: grpc-python/1.60", "x-group: gray"]


@dataclass(frozen=True)
class Workload:
    """So many connections with so many streams at a time each."""

    explained: str
    connections: int
    streams: int
    target: str = UNARY


WORKLOADS = {
    "64x1": Workload("gRPC unary, 64 connections with 1 stream; CPU µs a call", 64, 1),
    "16x16": Workload("gRPC unary, 16 connections with 16 streams; CPU µs a call", 16, 16),
    "4x64": Workload("gRPC unary, 4 connections with 64 streams; CPU µs a call", 4, 64),
    "stream": Workload("1 MB down, 4 connections with 2 streams; CPU µs a MB", 4, 2, STREAM),
}


@dataclass
class Sample:
    """One measurement: CPU microseconds a request, requests a second, resident bytes."""

    cost: float
    rate: float
    resident: int


def start_origin(setting: Setting) -> subprocess.Popen[bytes]:
    """nginx as both pools, over h2c."""
    (setting.folder / "large.bin").write_bytes(b"0123456789" * 100_000)
    config = setting.render("h2-origin.conf", "h2-origin.conf")
    log = setting.folder / "h2-origin.log"
    arguments = [tool("nginx", "nginx-light"), "-c", str(config), "-p", str(setting.folder)]
    process = start(arguments, setting.load_cores, log)
    wait_listening(setting.base, process, log)
    return process


def gateway(setting: Setting, name: str, python: str) -> Contender:
    """The gateway as `python` has it installed: metrics and a lane, as always."""
    port = free_port()
    home = setting.folder / name.replace(" ", "-")
    home.mkdir()
    lane = {"name": "gray", "tag": "gray", "match": [{"header": "x-group", "equals": "gray"}]}
    (home / "rules.yaml").write_text(yaml.safe_dump({"lane_groups": [{"name": "bench", "lanes": [lane]}]}))
    instances = [{"address": f"127.0.0.1:{setting.base}"}, {"address": f"127.0.0.1:{setting.gray}", "tag": "gray"}]
    config = {
        "listen": f"127.0.0.1:{port}",
        "admin": f"127.0.0.1:{free_port()}",
        "registry": {"kind": "static", "services": {"items": instances}},
        "routes": [{"path": "/shop.Items", "service": "items"}],
        "services": {"items": {"protocol": "h2c"}},
        "rules": "rules.yaml",
        "timeouts": {"upstream_idle": "60s"},
        "limits": {"connections_per_client": 8192},
    }
    (home / "gateway.yaml").write_text(yaml.safe_dump(config))
    return _started(name, port, [python, "-m", "gateway", "serve", "-c", str(home / "gateway.yaml")], setting)


def nginx(setting: Setting) -> Contender:
    """nginx, by `grpc_pass`."""
    port = free_port()
    config = setting.render("h2-nginx.conf", "h2-nginx.conf", port=port)
    return _started(
        "nginx", port, [tool("nginx", "nginx-light"), "-c", str(config), "-p", str(setting.folder)], setting
    )


def envoy(setting: Setting) -> Contender:
    """Envoy, one worker thread."""
    port = free_port()
    config = setting.render("h2-envoy.yaml", "h2-envoy.yaml", port=port)
    arguments = [envoy_binary(), "-c", str(config), "--concurrency", "1", "-l", "error", "--use-dynamic-base-id"]
    return _started("Envoy", port, arguments, setting)


OTHERS: dict[str, Callable[[Setting], Contender]] = {"nginx": nginx, "envoy": envoy}


def _started(name: str, port: int, arguments: list[str], setting: Setting) -> Contender:
    log = setting.folder / f"{name.replace(' ', '-')}.h2.log"
    process = start(arguments, setting.proxy_cores, log)
    try:
        wait_listening(port, process, log)
        load(Contender(name, port, process), Workload("", 1, 1), 0, setting.load_cores)
    except RuntimeError as error:
        process.kill()
        raise Missing(f"it does not do the split over h2c: {error}") from error
    return Contender(name, port, process)


def load(contender: Contender, workload: Workload, seconds: int, cores: set[int]) -> Sample:
    """h2load for some seconds; 0: a hundred requests. Raises RuntimeError if a request fails."""
    command = ["taskset", "-c", ",".join(map(str, sorted(cores))), tool("h2load", "nghttp2-client")]
    command += ["-p", "h2c", "-c", str(workload.connections), "-m", str(workload.streams), "-t", "1"]
    command += ["-D", str(seconds), "--warm-up-time", "0"] if seconds else ["-n", "100"]
    command += [part for head in HEADS for part in ("-H", head)]
    if workload.target == UNARY:
        message = Path(tempfile.gettempdir()) / "gateway-bench-message"
        message.write_bytes(grpccheck.framed(b"x" * 20))
        command += ["-d", str(message)]
    before = cpu_seconds(contender.process.pid)
    done = subprocess.run(
        [*command, f"http://127.0.0.1:{contender.port}{workload.target}"], capture_output=True, text=True, check=False
    )
    used = cpu_seconds(contender.process.pid) - before
    counts = re.search(
        r"requests: \d+ total, \d+ started, (\d+) done, (\d+) succeeded, (\d+) failed, (\d+) errored", done.stdout
    )
    rate = re.search(r"finished in [\d.a-z]+, ([\d.]+) req/s", done.stdout)
    if counts is None or rate is None:
        raise RuntimeError(f"h2load failed against {contender.name}:\n{done.stdout[-600:]}{done.stderr[-600:]}")
    succeeded = int(counts[2])
    # With -D, streams that are under way at the end count as failed.
    if not succeeded or int(counts[3]) > workload.connections * workload.streams:
        raise RuntimeError(f"requests to {contender.name} failed:\n{done.stdout[-800:]}")
    return Sample(used / succeeded * 1e6, float(rate[1]), resident_bytes(contender.process.pid))


def table(results: dict[str, dict[str, list[Sample]]]) -> list[str]:
    """A row for each contender in each workload; ratios are medians of the rounds' ratios."""
    lines: list[str] = []
    for name, by_name in results.items():
        lines += [f"### {name}: {WORKLOADS[name].explained}", ""]
        others = [other for other in ("nginx", "Envoy") if other in by_name]
        lines += ["| proxy | CPU µs | " + "".join(f"× {other} | " for other in others) + "requests/s | RSS MiB |"]
        lines += ["|---|---:|" + "---:|" * len(others) + "---:|---:|"]
        for proxy, samples in by_name.items():
            ratios = "".join(
                f"{statistics.median(mine.cost / its.cost for mine, its in zip(samples, by_name[other], strict=True)):.2f} | "
                for other in others
            )
            cost = statistics.median(sample.cost for sample in samples)
            rate = statistics.median(sample.rate for sample in samples)
            lines.append(f"| {proxy} | {cost:.1f} | {ratios}{rate:.0f} | {samples[-1].resident / 2**20:.0f} |")
        lines.append("")
    return lines


@click.command()
@click.option("--rounds", default=3, show_default=True, help="Rounds; the medians are reported.")
@click.option("--seconds", default=2, show_default=True, help="Length of one measurement.")
@click.option("--workloads", default=",".join(WORKLOADS), show_default=True, help="Workloads, by comma.")
@python_option
@click.option(
    "--output", default=str(Path(__file__).parent / "results"), show_default=True, help="Folder for the table."
)
def main(rounds: int, seconds: int, workloads: str, pythons: tuple[str, ...], output: str) -> None:
    """CPU time per gRPC call, and per MB of a stream, of the gateway, nginx and Envoy doing the same gray split over h2c."""
    wanted = workloads_of(workloads, WORKLOADS)
    cores = available_cores()
    installed = interpreters(pythons)
    folder = Path(tempfile.mkdtemp(prefix="gateway-bench-"))
    folder.chmod(0o755)  # nginx workers run as another user
    setting = Setting(folder, {cores[0]}, set(cores[2:] if len(cores) >= 4 else cores[1:]))
    processes: list[subprocess.Popen[bytes]] = []
    all_: list[Contender] = []
    skipped: list[str] = []
    results: dict[str, dict[str, list[Sample]]] = {}
    try:
        processes.append(start_origin(setting))
        for name, begin in [
            *((f"gateway, {label}", lambda setting, label=label, python=python: gateway(setting, f"gateway, {label}", python))
              for label, python in installed.items()),
            *OTHERS.items(),
        ]:  # fmt: skip
            try:
                found = begin(setting)
            except Missing as missing:
                click.echo(f"SKIPPED {name}: {missing}", err=True)
                skipped.append(f"{name}: {str(missing).split(':')[0]}")
                continue
            processes.append(found.process)
            all_.append(found)
            click.echo(f"{found.name}: {grpccheck.check(found.port, UNARY)} gRPC calls checked", err=True)
        for number in range(rounds):
            for workload in wanted:
                for contender in all_:
                    click.echo(f"round {number + 1}/{rounds} {workload}: {contender.name}", err=True)
                    sample = load(contender, WORKLOADS[workload], seconds, setting.load_cores)
                    results.setdefault(workload, {}).setdefault(contender.name, []).append(sample)
    except RuntimeError as error:
        raise click.ClickException(str(error)) from error
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            process.wait(10)
        shutil.rmtree(folder, ignore_errors=True)
    machine = describe(next(iter(installed.values())))
    title = f"{machine}; commit {commit()}; {rounds} rounds of {seconds} s"
    lines = ["# HTTP/2", "", title, "", *table(results), *(f"Skipped: {reason}." for reason in skipped)]
    text = "\n".join(lines).rstrip() + "\n"
    click.echo(text)
    Path(output).mkdir(parents=True, exist_ok=True)
    (Path(output) / "http2.md").write_text(text)


if __name__ == "__main__":
    main()
