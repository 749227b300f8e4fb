"""From a file's data to a model, or to every problem at its place."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import ValidationError

from gateway.errors import ConfigError, Problem
from gateway.yaml.reading import Document, Location, validation_problems

M = TypeVar("M", bound=Any)

Finding = tuple[Location, str]
"""Where a setting is, and what is wrong with it."""


def validate(
    model: type[M],
    document: Document,
    data: Any,
    given_by: Mapping[Location, str] | None = None,
    context: Mapping[str, Any] | None = None,
) -> M:
    """The model of a file's data. Raises ConfigError with every problem.

    `given_by` names where values came from that are not the file's: the command line, the environment. `context` is what
    validators need to know of the file, such as its folder.
    """
    if not isinstance(data, dict):
        raise ConfigError([document.problem((), "the file must be a mapping of keys to values")])
    try:
        result: M = model.model_validate(data, context=None if context is None else dict(context))
    except ValidationError as error:
        problems = validation_problems(error, document, model)
        if given_by:
            locations = [detail["loc"] for detail in error.errors(include_url=False)]
            problems = [
                blamed(problem, location, given_by) for problem, location in zip(problems, locations, strict=True)
            ]
        raise ConfigError(problems) from error
    return result


def blamed(problem: Problem, location: Location, given_by: Mapping[Location, str]) -> Problem:
    """A problem of a value that came from the command line or the environment is blamed on that, not on the file."""
    for size in range(len(location), 0, -1):
        giver = given_by.get(location[:size])
        if giver is not None:
            return Problem(giver, 0, 0, problem.message)
    return problem
