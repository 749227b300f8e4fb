"""What the commands of the benchmarks ask for alike."""

from __future__ import annotations

import os
import sys
from collections.abc import Collection

import click

python_option = click.option(
    "--python", "pythons", multiple=True, metavar="NAME=PATH", help="A Python that has the gateway installed."
)


def interpreters(pythons: tuple[str, ...]) -> dict[str, str]:
    """The Pythons by label; this one if none are given."""
    if not pythons:
        return {"plain": sys.executable}
    # Absolute, links kept: a virtual environment is known by the path it is called by.
    return {label: os.path.abspath(path) for label, path in (entry.split("=", 1) for entry in pythons)}  # noqa: PTH100


def workloads_of(text: str, known: Collection[str]) -> list[str]:
    """The workloads that are named, by comma. Raises UsageError."""
    wanted = text.split(",")
    if unknown := set(wanted) - set(known):
        raise click.UsageError(f"no workload {', '.join(sorted(unknown))}; there are {', '.join(known)}")
    return wanted


def available_cores() -> list[int]:
    """The numbers of the cores, in order. Raises ClickException if there are too few."""
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        raise click.ClickException("at least two cores are needed: one for the proxies, one for the load")
    return cores
