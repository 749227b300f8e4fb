"""How commands fail: problems on stderr, and the exit code."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from gateway.cli.output import echo
from gateway.errors import ConfigError, GatewayError

if TYPE_CHECKING:
    from gateway.rules.formats import Loss


@contextmanager
def failing() -> Iterator[None]:
    """Prints what is wrong, every problem on a line of its own, and exits 1."""
    try:
        yield
    except ConfigError as error:
        for problem in error.problems:
            echo(str(problem), err=True)
        sys.exit(1)
    except GatewayError as error:
        echo(str(error), err=True)
        sys.exit(1)


def counted(number: int, noun: str) -> str:
    """`1 file`, `2 files`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def show_losses(losses: Iterable[Loss], strict: bool) -> None:
    """Tells on stderr what was lost; exits 1 where that is not to be."""
    several = list(losses)
    for loss in several:
        echo(f"lost: {loss.place}: {loss.message}", err=True)
    if strict and several:
        sys.exit(1)
