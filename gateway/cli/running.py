"""What the commands that run until a signal have in common."""

from __future__ import annotations

import functools
import gc
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
        help="Override one setting; may be given more than once. Beats GATEWAY_… variables, which beat the file.",
    )
    return option(function)


def runs_until_signal(function: Callable[..., Program]) -> Callable[..., None]:
    """A command that makes a program: it gets the options that all of these have, and runs what it has made."""

    @click.option(
        "--log-level", type=click.Choice(LEVELS), default="info", show_default=True, envvar=LEVEL_VARIABLE,
        show_envvar=True, help="What is worth a line on stderr.",
    )  # fmt: skip
    @click.option(
        "--log-format", type=click.Choice([TEXT, JSON]), default=TEXT, show_default=True, envvar=FORMAT_VARIABLE,
        show_envvar=True, help="How the lines look.",
    )  # fmt: skip
    @click.option(
        "--takeover",
        type=click.Path(path_type=Path, dir_okay=False),
        metavar="PATH",
        help="A Unix socket where processes meet that take each other's place: this one takes that of the process that"
        " runs there, if there is one, and gives its own to the next. No connection is refused meanwhile.",
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
    """Runs a program on uvloop. Raises GatewayError where it cannot start."""
    import uvloop

    from gateway.app.running import run
    from gateway.app.sockets import Sockets

    # What is loaded by now stays for good: the collector need not look at it again and again.
    gc.freeze()
    # Every connection takes a file descriptor, and the usual soft limit of 1,024 is soon reached (Go programs do this too).
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    uvloop.run(run(program, Sockets(takeover)))


def _tell_why(error: GatewayError, is_for_machines: bool) -> None:
    """Says what was in the way: to people in plain lines that editors know, to machines as records like all others."""
    lines = [f"could not start: {error}"]
    if isinstance(error, ConfigError):
        lines = [*map(str, error.problems), "could not start: the configuration has the problems above"]
    for line in lines:
        if is_for_machines:
            logging.getLogger("gateway").critical("%s", line)
        else:
            echo(line, err=True)
