"""`make bench`: the gateway beside other proxies, one core for each in turn."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import click

from benchmarks import contenders, report
from benchmarks.contenders import Contender, Setting
from benchmarks.machine import Missing, commit, describe
from benchmarks.measure import WORKLOADS, closed_loop, open_loop
from benchmarks.options import available_cores, interpreters, python_option, workloads_of

RESULTS = Path(__file__).parent / "results"
REFERENCE = "nginx"
LANES = 1000
OPEN_LOOP_RATE = 1000


@click.command()
@click.option("--rounds", default=3, show_default=True, help="Rounds; the medians are reported.")
@click.option("--seconds", default=2, show_default=True, help="Length of one measurement.")
@click.option(
    "--only", default="", help="Contenders, by comma: gateway, nginx, haproxy, envoy, traefik, caddy, aiohttp."
)
@click.option("--workloads", default=",".join(WORKLOADS), show_default=True, help="Workloads, by comma.")
@click.option(
    "--options/--no-options", default=True, help="Also 1,000 lanes, the access log, request records, two workers."
)
@click.option("--open-loop/--no-open-loop", "opens", default=True, help="Also latencies at a fixed rate.")
@python_option
@click.option("--output", default=str(RESULTS), show_default=True, help="Folder for the table and the chart.")
def main(
    rounds: int,
    seconds: int,
    only: str,
    workloads: str,
    options: bool,
    opens: bool,
    pythons: tuple[str, ...],
    output: str,
) -> None:
    """CPU time per request, rates, latencies and memory of the gateway and of other proxies doing the same gray split."""
    tasks = workloads_of(workloads, WORKLOADS)
    wanted = only.split(",") if only else ["gateway", *contenders.OTHERS]
    if strange := set(wanted) - {"gateway", *contenders.OTHERS}:
        raise click.UsageError(f"no contender {', '.join(sorted(strange))}")
    cores = available_cores()
    installed = interpreters(pythons)
    with tempfile.TemporaryDirectory(prefix="gateway-bench-") as name:
        folder = Path(name)
        folder.chmod(0o755)  # nginx workers run as another user
        many = len(cores) >= 4
        setting = Setting(folder, {cores[0]}, set(cores[2:] if many else cores[1:]), set(cores[:2] if many else []))
        bench = Bench(setting, rounds, seconds)
        try:
            bench.prepare(wanted, installed, options)
            if "tls" in tasks:
                bench.prepare_secure(wanted, installed)
            bench.run(tasks)
            if opens:
                bench.open_loop()
        except Missing as missing:
            click.echo(str(missing), err=True)
            sys.exit(3)
        except RuntimeError as error:
            raise click.ClickException(str(error)) from error
        finally:
            bench.stop()
    bench.write(Path(output), describe(next(iter(installed.values()))))


class Bench:
    """One run."""

    def __init__(self, setting: Setting, rounds: int, seconds: int) -> None:
        self._setting = setting
        self._rounds = rounds
        self._seconds = seconds
        self._all: list[Contender] = []
        self._variants: list[Contender] = []
        self._secure: list[Contender] = []
        self._pairs: list[tuple[str, str, str]] = []
        self._skipped: list[str] = []
        self._origin: subprocess.Popen[bytes] | None = None
        self._results: report.Results = {}
        self._latencies: dict[str, dict[str, float]] = {}

    def prepare(self, wanted: list[str], pythons: dict[str, str], options: bool) -> None:
        """Starts everything; each proxy is seen to do the split. Raises Missing where there is no nginx: the origin."""
        setting = self._setting
        self._origin = contenders.start_origin(setting)
        if "gateway" in wanted:
            for label, python in pythons.items():
                name = f"gateway, {label}"
                self._all.append(contenders.gateway(setting, name, python))
                if options:
                    begin = partial(_begin_gateway, setting, python)
                    self._vary(name, begin)
                    bare = begin(f"{name}, without request records", records=False)
                    self._variants.append(bare)
                    self._pairs.append((f"{name}: request records", name, bare.name))
        for name in wanted:
            if name != "gateway":
                self._try(name, contenders.OTHERS[name])
        if options and "nginx" in wanted:
            self._vary("nginx", lambda title, **how: contenders.nginx(setting, title, **how))
        if options and not setting.pair_cores:
            self._skip("two workers: they need two cores, the load two more")

    def prepare_secure(self, wanted: list[str], pythons: dict[str, str]) -> None:
        """Starts those that are compared over TLS, under the same names. Raises Missing where there is no openssl."""
        contenders.make_certificate(self._setting)
        if "gateway" in wanted:
            for label, python in pythons.items():
                self._secure.append(contenders.gateway(self._setting, f"gateway, {label}", python, is_secure=True))
        for name, begin in contenders.SECURE.items():
            if name in wanted:
                try:
                    self._secure.append(begin(self._setting, is_secure=True))
                except Missing as missing:
                    self._skip(f"{name}: {missing}")

    def run(self, workloads: list[str]) -> None:
        """All rounds: in each, every contender has its turn at every workload."""
        for contender in [*self._all, *self._variants, *self._secure]:  # connections made, code loaded
            closed_loop(contender, "small", 1, self._setting.load_cores)
        for number in range(self._rounds):
            for workload in workloads:
                variants = self._variants if workload == "small" else []
                for contender in self._secure if workload == "tls" else [*self._all, *variants]:
                    click.echo(f"round {number + 1}/{self._rounds} {workload}: {contender.name}", err=True)
                    sample = closed_loop(contender, workload, self._seconds, self._setting.load_cores)
                    self._results.setdefault(workload, {}).setdefault(contender.name, []).append(sample)

    def open_loop(self) -> None:
        """Latencies at a fixed rate."""
        for contender in self._all:
            click.echo(f"open loop: {contender.name}", err=True)
            found = open_loop(contender, OPEN_LOOP_RATE, 2 * self._seconds, self._setting.load_cores)
            self._latencies[contender.name] = found

    def stop(self) -> None:
        """Ends everything."""
        processes = [contender.process for contender in [*self._all, *self._variants, *self._secure]]
        if self._origin is not None:
            processes.append(self._origin)
        for process in processes:
            process.terminate()
        for process in processes:
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()

    def write(self, output: Path, machine: str) -> None:
        """Writes the table and the chart, and prints the table."""
        title = f"{machine}; commit {commit()}; {self._rounds} rounds of {self._seconds} s"
        plain = {
            workload: {name: samples for name, samples in by_name.items() if name in {one.name for one in self._all}}
            for workload, by_name in self._results.items()
        }
        lines = ["# Results", "", title, "", *report.tables(plain, REFERENCE)]
        lines += report.variants(self._results, self._pairs)
        lines += report.open_loop(self._latencies, OPEN_LOOP_RATE)
        lines += [f"Skipped: {reason}." for reason in self._skipped]
        text = "\n".join(lines).rstrip() + "\n"
        click.echo(text)
        output.mkdir(parents=True, exist_ok=True)
        (output / "results.md").write_text(text)
        if any(REFERENCE in by_name for by_name in plain.values()):
            try:
                report.draw(plain, REFERENCE, title, output / "results.png")
            except ImportError:
                click.echo("no chart: matplotlib is not installed", err=True)
        click.echo(f"written to {output}", err=True)

    def _try(self, name: str, begin: Callable[[Setting], Contender]) -> None:
        try:
            self._all.append(begin(self._setting))
        except Missing as missing:
            self._skip(f"{name}: {missing}")

    def _vary(self, name: str, begin: Callable[..., Contender]) -> None:
        """The same proxy with 1,000 lanes, with the access log on, with two workers."""
        ways: dict[str, dict[str, object]] = {
            f"{LANES} lanes": {"lanes": LANES},
            "access log": {"log_to": self._log_of(name)},
        }
        if self._setting.pair_cores:
            ways["two workers"] = {"workers": 2}
        for title, how in ways.items():
            varied = begin(f"{name}, {title}", **how)
            self._variants.append(varied)
            self._pairs.append((f"{name}: {title}", varied.name, name))

    def _log_of(self, name: str) -> str:
        return str(self._setting.folder / f"{name.replace(' ', '-')}-access.log")

    def _skip(self, reason: str) -> None:
        click.echo(f"SKIPPED {reason}", err=True)
        self._skipped.append(reason)


def _begin_gateway(setting: Setting, python: str, title: str, **how: Any) -> Contender:
    return contenders.gateway(setting, title, python, **how)


if __name__ == "__main__":
    main()
