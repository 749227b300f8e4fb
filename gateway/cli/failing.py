"""How commands fail: problems on stderr, and the exit code."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, NoReturn

from gateway.cli.output import echo, echo_json
from gateway.errors import ConfigError, GatewayError

if TYPE_CHECKING:
    from gateway.ruletools.formats import Loss


@contextmanager
def failing(output: str = "text") -> Iterator[None]:
    """Prints every problem on its own line, and exits with 1.

    With an `output` of `json`, stdout also gets `{"error": …, "problems": […]}`, for the program that reads it.
    """
    try:
        yield
    except ConfigError as error:
        for problem in error.problems:
            echo(str(problem), err=True)
        _fail(output, error, [asdict(problem) for problem in error.problems])
    except GatewayError as error:
        echo(str(error), err=True)
        _fail(output, error, [])


def _fail(output: str, error: GatewayError, problems: list[dict[str, object]]) -> NoReturn:
    if output == "json":
        echo_json({"error": str(error), "problems": problems})
    sys.exit(1)


def counted(number: int, noun: str) -> str:
    """`1 file`, `2 files`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def show_losses(losses: Iterable[Loss], strict: bool) -> None:
    """Prints each loss on stderr; if `strict`, exits with 1 if there is one."""
    several = list(losses)
    for loss in several:
        echo(f"lost: {loss.place}: {loss.message}", err=True)
    if strict and several:
        sys.exit(1)
