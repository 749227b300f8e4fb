"""A configuration file alone, without the rules that it names: its settings, and everything wrong with them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, TypeVar

from gateway.claims.files import token_files, token_problems
from gateway.config.carriers import carrier_files, carrier_problems
from gateway.config.certificates import certificate_files, certificate_problems
from gateway.config.overrides import overridden
from gateway.config.sense import senseless
from gateway.config.sense_registry import senseless_registries
from gateway.errors import ConfigError, Problem
from gateway.permission.guards import guard_files, guard_problems
from gateway.settings import ServingSettings, known_instances
from gateway.validation import Finding, blamed, validate
from gateway.yaml.reading import Document, Location, dotted, load

S = TypeVar("S", bound=ServingSettings)


@dataclass(slots=True)
class Config(Generic[S]):
    """What a configuration file says. `settings` is None if the file is not even that; `data` is what it says plainly."""

    path: Path
    document: Document
    data: Any
    settings: S | None = None
    problems: list[Problem] = field(default_factory=list)
    given_by: dict[Location, str] = field(default_factory=dict)
    """What brought the values that are not the file's."""

    @property
    def files(self) -> tuple[Path, ...]:
        """The file, and those that it names."""
        settings = self.settings
        if settings is None:
            return (self.path,)
        return (
            self.path,
            *map(
                Path,
                (
                    *certificate_files(settings),
                    *token_files(settings),
                    *carrier_files(settings),
                    *guard_files(settings),
                ),
            ),
        )

    def problem(self, location: Location, message: str) -> Problem:
        """A problem of a value, blamed on what brought it."""
        return blamed(self.document.problem(location, message), location, self.given_by)


def read_config(
    model: type[S],
    path: Path,
    overrides: Sequence[str],
    variables: Mapping[str, str],
    environ: Mapping[str, str],
) -> Config[S]:
    """Reads a configuration file, with whatever is wrong in it. `variables` fill `${…}`, `environ` may have settings.

    Raises ConfigError if the file cannot be read or is not YAML.
    """
    try:
        document = load(path, variables)
    except ConfigError as error:
        raise ConfigError(list(error.problems), [path]) from error
    config: Config[S] = Config(path, document, document.data if document.data is not None else {})
    if isinstance(config.data, dict):
        config.data = overridden(config.data, model, overrides, environ, config.given_by, config.problems)
    try:
        folder = path.absolute().parent  # file names are relative to it
        config.settings = settings = validate(model, document, config.data, config.given_by, {"folder": folder})
    except ConfigError as error:
        config.problems.extend(error.problems)
        return config
    for location, message in _senseless(settings):
        config.problems.append(config.problem(location, f"{dotted(location)}: {message}"))
    config.problems.extend(certificate_problems(settings, document))
    config.problems.extend(token_problems(settings, document))
    config.problems.extend(carrier_problems(settings, document))
    config.problems.extend(guard_problems(settings, document))
    config.problems.extend(_route_problems(settings, config))
    return config


def _senseless(settings: ServingSettings) -> Iterator[Finding]:
    yield from senseless(settings)
    yield from senseless_registries(settings)
    if settings.is_entry:
        from gateway.config.sense_routes import senseless_routes

        yield from senseless_routes(settings)


def _route_problems(settings: ServingSettings, config: Config[Any]) -> list[Problem]:
    """What is wrong among the routes, each of which is sound."""
    problems: list[Problem] = []
    seen: set[tuple[str, str]] = set()
    known = known_instances(settings.all_registries.values())
    for index, route in enumerate(settings.served_routes):
        name = f"{route.host or ''}{route.path.rstrip('/') or '/'}"
        # Routes with `match` differ by what they ask for.
        key = (name, "" if route.match is None else route.match.model_dump_json())
        if key in seen:
            location: Location = ("routes", index, "path")
            problems.append(config.problem(location, f"{dotted(location)}: the route '{name}' is given twice"))
        seen.add(key)
        if route.service is not None and known is not None and route.service not in known:
            names = ", ".join(sorted(known)) or "none"
            location = ("routes", index, "service")
            message = f"{dotted(location)}: service '{route.service}' is not in the static registry (it has: {names})"
            problems.append(config.problem(location, message))
    return problems
