"""`gateway check`."""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path

import click

from gateway.cli.failing import counted
from gateway.cli.output import echo, echo_json, output_option


@click.command("check", short_help="Validate configuration and rules without starting anything.")
@click.argument("paths", metavar="PATH...", nargs=-1, required=True, type=click.Path(path_type=Path))
@output_option("text")
def command(paths: tuple[Path, ...], output: str) -> None:
    """Validate configuration and rules without starting anything.

    PATH is a file or a directory. The rules of a configuration are validated with it. Every problem is printed as
    `file:line:col: message`. Exits with 1 if there is one.
    """
    from gateway.release.check import check_all

    problems, count = check_all(paths)
    if output == "json":
        echo_json([asdict(problem) for problem in problems])
    else:
        for problem in problems:
            echo(str(problem))
    if problems:
        files = len({problem.file for problem in problems})
        echo(f"{counted(len(problems), 'problem')} in {counted(files, 'file')}", err=True)
        sys.exit(1)
    echo(f"{counted(count, 'file')} checked, no problems", err=True)
