"""The results as a Markdown table for people and a chart."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from pathlib import Path

from benchmarks.measure import EXPLAINED, Sample

Results = dict[str, dict[str, list[Sample]]]
"""Samples, one a round, by workload and contender."""


def median_cost(samples: Sequence[Sample]) -> float:
    """Microseconds of CPU time a request."""
    return statistics.median(sample.cost for sample in samples)


def ratio(mine: Sequence[Sample], theirs: Sequence[Sample]) -> float:
    """The median over the rounds' ratios: a noisy minute of the machine falls on both sides of each."""
    return statistics.median(one.cost / other.cost for one, other in zip(mine, theirs, strict=True))


def _rates(mine: Sequence[Sample], theirs: Sequence[Sample]) -> float:
    return statistics.median(one.rate / other.rate for one, other in zip(mine, theirs, strict=True))


def tables(results: Results, reference: str) -> list[str]:
    """A table for each workload."""
    lines: list[str] = []
    for workload, by_name in results.items():
        lines += [f"### {workload}: {EXPLAINED[workload]}", ""]
        lines += [
            f"| proxy | CPU µs/request | × {reference} | requests/s | p50 ms | p99 ms | RSS MiB |",
            "|---|---:|---:|---:|---:|---:|---:|",
        ]
        for name, samples in by_name.items():
            times = f"{ratio(samples, by_name[reference]):.2f}" if reference in by_name else "-"
            rate = statistics.median(sample.rate for sample in samples)
            p50 = statistics.median(sample.p50 for sample in samples) / 1e3
            p99 = statistics.median(sample.p99 for sample in samples) / 1e3
            resident = samples[-1].resident / 2**20
            lines.append(
                f"| {name} | {median_cost(samples):.1f} | {times} | {rate:.0f} | {p50:.2f} | {p99:.2f} | {resident:.0f} |"
            )
        lines.append("")
    return lines


def variants(results: Results, pairs: Sequence[tuple[str, str, str]]) -> list[str]:
    """What an option costs: each pair is what it is called, the contender with it and the one without it."""
    small = results.get("small", {})
    rows = [
        f"| {title} | {median_cost(small[without]):.1f} | {median_cost(small[having]):.1f} "
        f"| {ratio(small[having], small[without]):.3f} | {_rates(small[having], small[without]):.2f} |"
        for title, having, without in pairs
        if having in small and without in small
    ]
    if not rows:
        return []
    head = ["### options, with small requests", ""]
    head += ["| option | CPU µs without | with | ratio | requests/s, ratio |", "|---|---:|---:|---:|---:|"]
    return [*head, *rows, ""]


def open_loop(latencies: dict[str, dict[str, float]], rate: int) -> list[str]:
    """The latencies at a fixed rate."""
    if not latencies:
        return []
    lines = [f"### open loop: {rate} small requests a second by the clock", ""]
    lines += ["| proxy | p50 µs | p99 µs | p99.9 µs | max µs |", "|---|---:|---:|---:|---:|"]
    for name, found in latencies.items():
        values = " | ".join(f"{found[key]:.0f}" for key in ("p50", "p99", "p999", "max"))
        lines.append(f"| {name} | {values} |")
    return [*lines, ""]


def draw(results: Results, reference: str, title: str, path: Path) -> None:
    """A chart of the CPU time a request, as multiples of the reference, to a PNG file."""
    import matplotlib.pyplot as plt  # noqa: PLC0415  # only who draws needs it

    plt.switch_backend("Agg")
    workloads = [name for name in results if reference in results[name]]
    names = list(dict.fromkeys(name for workload in workloads for name in results[workload]))
    figure, axes = plt.subplots(1, len(workloads), figsize=(4 * len(workloads), 0.45 * len(names) + 1.6), sharey=True)
    for axis, workload in zip([axes] if len(workloads) == 1 else axes, workloads, strict=True):
        by_name = results[workload]
        shown = [name for name in names if name in by_name]
        values = [ratio(by_name[name], by_name[reference]) for name in shown]
        colours = ["#2b6cb0" if name.startswith("gateway") else "#a0aec0" for name in shown]
        bars = axis.barh(shown, values, color=colours)
        axis.bar_label(bars, [f" {value:.2f}" for value in values], fontsize=8)
        axis.set_title(f"{workload}: {EXPLAINED[workload]}", fontsize=8)
        axis.set_xlabel(f"CPU time a request, × {reference}", fontsize=8)
        axis.margins(x=0.2)
    figure.axes[0].invert_yaxis()  # the axes share it
    figure.suptitle(title, fontsize=9)
    figure.tight_layout()
    figure.savefig(path, dpi=120)
