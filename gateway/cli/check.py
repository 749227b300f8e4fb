"""`gateway check`."""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path

import click

from gateway.cli.failing import counted
from gateway.cli.output import echo, echo_json


@click.command("check", short_help="Validate configuration and rules without starting.")
@click.argument("paths", metavar="PATH...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("-o", "--output", type=click.Choice(["text", "json"]), default="text", show_default=True)
def command(paths: tuple[Path, ...], output: str) -> None:
    """Validate configuration and rules without starting.

    PATH is a file or a directory; a configuration's rules are checked with it. Every problem is printed as
    `file:line:col: message`. Exit code 1 where there is any.
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
    echo(f"{counted(count, 'file')} {'is' if count == 1 else 'are'} fine", err=True)
