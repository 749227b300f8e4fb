"""What the commands that run until a signal share."""

from __future__ import annotations

import functools
import logging
import resource
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from gateway.app.signals import hold_signals
from gateway.cli.output import echo
from gateway.errors import ConfigError, GatewayError
from gateway.logs import FORMAT_VARIABLE, JSON, LEVEL_VARIABLE, LEVELS, TEXT, set_up

if TYPE_CHECKING:
    from gateway.app.running import Program

F = TypeVar("F", bound=Callable[..., Any])

COULD_NOT_START = 3


def set_option(function: F) -> F:
    """The `--set` option."""
    option = click.option(
        "--set",
        "overrides",
        multiple=True,
        metavar="KEY.PATH=VALUE",
        help="Override one setting; can be repeated. Overrides GATEWAY_… variables, which override the file.",
    )
    return option(function)


def runs_until_signal(function: Callable[..., Program]) -> Callable[..., None]:
    """A command that makes a program: gets the options that all such commands share, and runs the program."""

    @click.option(
        "--log-level", type=click.Choice(LEVELS), default="info", show_default=True, envvar=LEVEL_VARIABLE,
        show_envvar=True, help="Lowest level of the records written to stderr.",
    )  # fmt: skip
    @click.option(
        "--log-format", type=click.Choice([TEXT, JSON]), default=TEXT, show_default=True, envvar=FORMAT_VARIABLE,
        show_envvar=True, help="Format of the records.",
    )  # fmt: skip
    @click.option(
        "--takeover",
        type=click.Path(path_type=Path, dir_okay=False),
        metavar="PATH",
        help="Unix socket for takeover: this process takes over from the one that runs at PATH, if any, and hands over"
        " to the next one. No connection is refused.",
    )
    @functools.wraps(function)
    def command(*args: Any, log_level: str, log_format: str, takeover: Path | None, **options: Any) -> None:
        hold_signals()
        set_up(log_level, log_format)
        try:
            _run(function(*args, **options), takeover)
        except GatewayError as error:
            _tell_why(error, log_format == JSON)
            sys.exit(COULD_NOT_START)

    return command


def _run(program: Program, takeover: Path | None) -> None:
    """Runs a program on uvloop. Raises GatewayError if it cannot start."""
    import uvloop

    from gateway.app.heap import collect_seldom, keep_freed
    from gateway.app.running import run
    from gateway.app.sockets import Sockets

    collect_seldom()
    keep_freed()
    # Every connection takes a file descriptor, and the usual soft limit of 1,024 is soon reached (Go programs do this too).
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    uvloop.run(run(program, Sockets(takeover)))


def _tell_why(error: GatewayError, is_for_machines: bool) -> None:
    """Prints why it could not start: plain `file:line:col` lines for people, log records for machines."""
    lines = [f"could not start: {error}"]
    if isinstance(error, ConfigError):
        lines = [*map(str, error.problems), "could not start: the configuration has the problems above"]
    for line in lines:
        if is_for_machines:
            logging.getLogger("gateway").critical("%s", line)
        else:
            echo(line, err=True)
