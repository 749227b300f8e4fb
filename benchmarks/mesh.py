"""`python -m benchmarks.mesh`: what a call costs that passes several proxies, beside the same chain of Envoys and of nginx.

`hop` is one service behind an entry and a sidecar, `chain` are three that call each other (`benchmarks.chains`). HTTP/1.1 is
what the client and all applications speak. What the proxies of a chain speak among themselves is in its name.

All proxies share one core, and the cost is their CPU time together; that of the entry stands beside it.
"""

from __future__ import annotations

import shutil
import statistics
import tempfile
from dataclasses import dataclass
from pathlib import Path

import click

from benchmarks import chains
from benchmarks.chains import Chain, Proxies
from benchmarks.contenders import Setting
from benchmarks.machine import Missing, commit, cpu_seconds, describe, resident_bytes
from benchmarks.measure import run_wrk
from benchmarks.options import available_cores, interpreters, python_option, workloads_of

TARGET = "/A/items?group=gray"
CONNECTIONS = 64


@dataclass(frozen=True)
class Workload:
    """`services` call each other in this order. `others` are who is compared, by name."""

    explained: str
    services: list[str]
    protocols: list[str]
    others: dict[str, Proxies]


WORKLOADS = {
    "hop": Workload(
        "GET, HTTP/1.1 to the entry, a sidecar, HTTP/1.1 to the application; CPU µs a request",
        ["a"],
        ["h2c", "http1"],
        {
            "nginx, http1": chains.nginx,
            "Envoy, http1": chains.envoy("http1"),
            "Envoy, h2c": chains.envoy("h2c"),
        },
    ),
    "chain": Workload(
        "GET, entry → A → B → C, two sidecars a service; CPU µs a request of the client",
        ["a", "b", "c"],
        ["h2c"],
        {
            "nginx, http1": chains.nginx,
            "Envoy, http1": chains.envoy("http1"),
            "Envoy, h2c": chains.envoy("h2c"),
        },
    ),
}


@dataclass
class Sample:
    """CPU microseconds a request, of all proxies and of the entry; requests a second; resident bytes of all."""

    cost: float
    entry: float
    rate: float
    resident: int


def measure(chain: Chain, seconds: int, cores: set[int]) -> Sample:
    """wrk for some seconds. Raises RuntimeError if a request fails."""
    before = [cpu_seconds(process.pid) for process in chain.proxies]
    load = run_wrk(chain.name, f"http://127.0.0.1:{chain.port}{TARGET}", CONNECTIONS, seconds, cores)
    used = [cpu_seconds(process.pid) - was for process, was in zip(chain.proxies, before, strict=True)]
    resident = sum(resident_bytes(process.pid) for process in chain.proxies)
    return Sample(sum(used) / load.count * 1e6, used[0] / load.count * 1e6, load.rate, resident)


def table(name: str, by_name: dict[str, list[Sample]]) -> list[str]:
    """A row for each chain; ratios are medians of the rounds' ratios."""
    others = [other for other in by_name if not other.startswith("gateway")]
    lines = [f"### {name}: {WORKLOADS[name].explained}", ""]
    lines += ["| chain | entry | all | " + "".join(f"all × {other} | " for other in others) + "requests/s | RSS MiB |"]
    lines += ["|---|---:|---:|" + "---:|" * len(others) + "---:|---:|"]
    for chain, samples in by_name.items():
        ratios = "".join(
            f"{statistics.median(mine.cost / its.cost for mine, its in zip(samples, by_name[other], strict=True)):.2f} | "
            for other in others
        )
        entry, cost, rate = (
            statistics.median(getattr(sample, part) for sample in samples) for part in ("entry", "cost", "rate")
        )
        lines.append(
            f"| {chain} | {entry:.1f} | {cost:.1f} | {ratios}{rate:.0f} | {samples[-1].resident / 2**20:.0f} |"
        )
    lines.append("")
    for chain, samples in by_name.items():
        before = by_name.get(chain.replace("h2c", "http1"))
        if chain.startswith("gateway") and chain.endswith("h2c") and before:
            entry, cost = (
                statistics.median(
                    getattr(mine, part) / getattr(its, part) for mine, its in zip(samples, before, strict=True)
                )
                for part in ("entry", "cost")
            )
            lines += [f"{chain}, × the same by http1: entry {entry:.2f}, all {cost:.2f}.", ""]
    return lines


@click.command()
@click.option("--rounds", default=3, show_default=True, help="Rounds; the medians are reported.")
@click.option("--seconds", default=2, show_default=True, help="Length of one measurement.")
@click.option("--workloads", default=",".join(WORKLOADS), show_default=True, help="Workloads, by comma.")
@click.option("--only", default="", help="Beginnings of the names of chains, by comma: gateway, nginx, Envoy.")
@python_option
@click.option(
    "--output", default=str(Path(__file__).parent / "results"), show_default=True, help="Folder for the table."
)
def main(rounds: int, seconds: int, workloads: str, only: str, pythons: tuple[str, ...], output: str) -> None:
    """CPU time per request of an entry and its sidecars, beside Envoys and nginxes in their places."""
    wanted = workloads_of(workloads, WORKLOADS)
    cores = available_cores()
    installed = interpreters(pythons)
    machine = describe(next(iter(installed.values())))
    lines = ["# Chains", "", f"{machine}; commit {commit()}; {rounds} rounds of {seconds} s", ""]
    for name in wanted:
        workload = WORKLOADS[name]
        every = {
            f"gateway, {label}, {protocol}": chains.gateway(python, protocol)
            for label, python in installed.items()
            for protocol in workload.protocols
        } | workload.others
        chosen = {title: by for title, by in every.items() if title.startswith(tuple(only.split(",")))}
        results, skipped = run(name, chosen, rounds, seconds, cores)
        lines += [*table(name, results), *(f"Skipped: {reason}." for reason in skipped)]
    text = "\n".join(lines).rstrip() + "\n"
    click.echo(text)
    Path(output).mkdir(parents=True, exist_ok=True)
    (Path(output) / "mesh.md").write_text(text)


def run(
    name: str, chosen: dict[str, Proxies], rounds: int, seconds: int, cores: list[int]
) -> tuple[dict[str, list[Sample]], list[str]]:
    """All rounds of a workload: in each, every chain has its turn. Returns the samples, and who was left out."""
    folder = Path(tempfile.mkdtemp(prefix="gateway-bench-"))
    folder.chmod(0o755)  # nginx workers run as another user
    setting = Setting(folder, {cores[0]}, set(cores[2:] if len(cores) >= 4 else cores[1:]))
    running: list[Chain] = []
    skipped: list[str] = []
    results: dict[str, list[Sample]] = {}
    try:
        for title, by in chosen.items():
            try:
                running.append(chains.begin(setting, title, WORKLOADS[name].services, by))
            except Missing as missing:
                click.echo(f"SKIPPED {title}: {missing}", err=True)
                skipped.append(f"{title}: {missing}")
        for chain in running:  # connections made, code loaded
            measure(chain, 1, setting.load_cores)
        for number in range(rounds):
            for chain in running:
                click.echo(f"round {number + 1}/{rounds} {name}: {chain.name}", err=True)
                results.setdefault(chain.name, []).append(measure(chain, seconds, setting.load_cores))
    except RuntimeError as error:
        raise click.ClickException(str(error)) from error
    finally:
        for chain in running:
            chain.stop()
        shutil.rmtree(folder, ignore_errors=True)
    return results, skipped


if __name__ == "__main__":
    main()
