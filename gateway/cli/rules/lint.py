"""`gateway rules lint`."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gateway.cli.output import echo, echo_json, output_option

if TYPE_CHECKING:
    from gateway.ruletools.linting import PlacedFinding


@click.command("lint", short_help="Find lanes that cannot win, that overlap, or that say what nobody meant.")
@click.argument("paths", metavar="[PATH]...", nargs=-1, type=click.Path(path_type=Path))
@click.option(
    "-c",
    "--config",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Configuration of the entry gateway, to check lanes against its routes and static services.",
)
@click.option("--entry", default="gateway", show_default=True, metavar="NAME", help="Name of the entry gateway.")
@click.option("--ignore", multiple=True, metavar="CODE", help="A code to ignore; can be repeated.")
@output_option("text")
def command(paths: tuple[Path, ...], config: Path | None, entry: str, ignore: tuple[str, ...], output: str) -> None:
    """Find lanes that cannot win, that overlap, or that say what nobody meant.

    PATH is a rule file or a directory [default: the rules of --config, or rules]. Exits with 1 if there is an error or a
    warning; infos do not count.
    """
    from gateway.cli.failing import counted, failing
    from gateway.ruletools.lint import CODES
    from gateway.ruletools.linting import lint_files

    unknown = sorted(set(ignore) - set(CODES))
    if unknown:
        raise click.BadParameter(f"there is no code {unknown[0]!r}", param_hint="--ignore")
    with failing(output):
        found = [item for item in lint_files(paths, config, entry) if item.finding.code not in ignore]
    if output == "json":
        echo_json([_as_dict(item) for item in found])
    else:
        for item in found:
            _show(item)
    weights = [item.finding.severity for item in found]
    parts = [counted(weights.count(kind), kind) for kind in ("error", "warning", "info") if kind in weights]
    echo(", ".join(parts) or "nothing found", err=True)
    if "error" in weights or "warning" in weights:
        sys.exit(1)


def _as_dict(item: PlacedFinding) -> dict[str, Any]:
    finding = item.finding
    return {
        "file": item.file,
        "line": item.line,
        "column": item.column,
        "code": finding.code,
        "severity": finding.severity,
        "group": finding.group,
        "lane": finding.lane or None,
        "message": finding.message,
        "hint": finding.hint,
        "witness": finding.witness,
    }


def _show(item: PlacedFinding) -> None:
    finding = item.finding
    name = f"{finding.group}/{finding.lane}" if finding.lane else finding.group
    subject = f"lane {name}: " if finding.lane else f"group {name}: " if name else ""
    echo(f"{item.file}:{item.line}:{item.column}: {finding.severity} {finding.code}: {subject}{finding.message}")
    if finding.hint:
        echo(f"    hint: {finding.hint}")
    if finding.witness is not None:
        echo(f"    example: {_as_arguments(finding.witness)}")


def _as_arguments(witness: Mapping[str, Any]) -> str:
    """A request as arguments of `gateway explain`, as far as it accepts them."""
    rest = dict(witness)
    words = [rest.pop("method"), rest.pop("url")]
    for name, value in rest.pop("headers").items():
        words += ["-H", f"{name}: {value}"]
    for key, option in (("client_ip", "--client-ip"), ("body", "-d")):
        words += [option, rest.pop(key)] if key in rest else []
    return " ".join([*map(shlex.quote, words), *(f"{key}={value}" for key, value in rest.items())])
