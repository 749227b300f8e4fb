"""What the commands that run until a signal have in common."""

from __future__ import annotations

import gc
import logging
import resource
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from gateway.cli.output import echo
from gateway.errors import ConfigError, GatewayError
from gateway.logs import log_to_stderr

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


def run_program(program: Program) -> None:
    """Runs a program on uvloop until a signal; exits 3 with the reason on stderr where it cannot start."""
    import uvloop

    from gateway.app.running import run

    log_to_stderr()
    logging.getLogger("watchfiles").setLevel(logging.WARNING)
    # What is loaded by now stays for good: the collector need not look at it again and again.
    gc.freeze()
    # Every connection takes a file descriptor, and the usual soft limit of 1,024 is soon reached (Go programs do this too).
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    try:
        uvloop.run(run(program))
    except ConfigError as error:
        for problem in error.problems:
            echo(str(problem), err=True)
        echo("could not start: the configuration has the problems above", err=True)
        sys.exit(COULD_NOT_START)
    except GatewayError as error:
        echo(f"could not start: {error}", err=True)
        sys.exit(COULD_NOT_START)
