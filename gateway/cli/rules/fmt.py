"""`gateway rules fmt`."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from gateway.cli.output import echo, echo_text


@click.command("fmt", short_help="Format rule files and keep comments.")
@click.argument("paths", metavar="[PATH]...", nargs=-1, type=click.Path(path_type=Path))
@click.option(
    "--diff",
    "shows_diff",
    is_flag=True,
    help="Show what would change, but write nothing; exit with 1 if anything would.",
)
def command(paths: tuple[Path, ...], shows_diff: bool) -> None:
    """Format the indentation and spacing of rule files. Comments, order and quotes stay.

    PATH is a file or a directory [default: rules]. A file is written only if its meaning does not change.
    """
    from gateway.cli.failing import counted, failing
    from gateway.errors import ConfigError, Problem
    from gateway.files import unified_diff, write_file
    from gateway.rulesources.files import yaml_files
    from gateway.ruletools.format import formatted
    from gateway.yaml.reading import read_text

    files = [file for path in paths or (Path("rules"),) for file in (yaml_files(path) if path.is_dir() else [path])]
    changed = 0
    with failing():
        problems: list[Problem] = []
        for file in files:
            try:
                text = read_text(file)
                better = formatted(text, str(file))
            except ConfigError as error:
                problems.extend(error.problems)
                continue
            if better == text:
                continue
            changed += 1
            if shows_diff:
                echo_text(unified_diff(text, better, str(file), f"{file} (formatted)"))
            else:
                try:
                    write_file(file, better)
                except OSError as error:
                    problems.append(Problem(str(file), 1, 1, f"cannot write the file: {error.strerror or error}"))
                else:
                    echo(f"formatted {file}", err=True)
        if problems:
            raise ConfigError(problems)
    if not changed:
        echo(f"{counted(len(files), 'file')} checked, already formatted", err=True)
    elif shows_diff:
        sys.exit(1)
