"""Loading: from files to settings and compiled rules, or to every problem there is."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from pydantic import ValidationError

from gateway.control.certificates import certificate_files, certificate_problems
from gateway.control.overrides import overridden
from gateway.errors import ConfigError, Problem
from gateway.rules.compile import compile_rules
from gateway.rules.match import CompiledRules
from gateway.rules.model import LaneGroup, RulesFile
from gateway.settings import GatewaySettings, ServingSettings, SidecarSettings, StaticRegistrySettings
from gateway.telemetry.linefile import STDOUT
from gateway.yamlfile import Document, Location, dotted, load, validation_problems

SUFFIXES = (".yaml", ".yml")
"""Of the files that directories are searched for."""

S = TypeVar("S", bound=ServingSettings)


@dataclass(frozen=True, slots=True)
class LoadedRules:
    """Lane groups in order, and the files and directories they came from."""

    groups: tuple[LaneGroup, ...]
    files: tuple[Path, ...]


@dataclass(frozen=True, slots=True)
class Loaded(Generic[S]):
    """A whole configuration. `files` is everything that was read, directories of rules included."""

    settings: S
    groups: tuple[LaneGroup, ...]
    rules: CompiledRules
    files: tuple[Path, ...]


LoadedGateway = Loaded[GatewaySettings]
LoadedSidecar = Loaded[SidecarSettings]


def load_gateway(path: Path, overrides: Sequence[str] = (), environ: Mapping[str, str] | None = None) -> LoadedGateway:
    """The entry gateway's configuration with its rules. Raises ConfigError with every problem of every file."""
    return _load(GatewaySettings, path, overrides, os.environ if environ is None else environ)


def load_sidecar(path: Path, overrides: Sequence[str] = (), environ: Mapping[str, str] | None = None) -> LoadedSidecar:
    """A sidecar's configuration with its rules. Raises ConfigError with every problem of every file."""
    return _load(SidecarSettings, path, overrides, os.environ if environ is None else environ)


def load_rules(sources: Sequence[Path], environ: Mapping[str, str] | None = None) -> LoadedRules:
    """The lane groups of directories and files, in order. Raises ConfigError with every problem of every file."""
    problems: list[Problem] = []
    groups: list[LaneGroup] = []
    places: dict[str, str] = {}
    files: list[Path] = []
    for source in sources:
        files.append(source)
        try:
            members = _yaml_files(source) if source.is_dir() else [source]
        except OSError as error:
            problems.append(Problem(str(source), 1, 1, f"cannot read the directory: {error.strerror or error}"))
            continue
        files.extend(member for member in members if member != source)
        for member in members:
            try:
                document = load(member, environ)
                problems.extend(_repeated_lanes(document))
                content = _validate(RulesFile, document, {} if document.data is None else document.data)
            except ConfigError as error:
                problems.extend(error.problems)
                continue
            for index, group in enumerate(content.lane_groups):
                if group.name in places:
                    message = f"lane group '{group.name}' is already defined in {places[group.name]}"
                    problems.append(document.problem(("lane_groups", index, "name"), message))
                else:
                    line, _ = document.place(("lane_groups", index, "name"))
                    places[group.name] = f"{member}:{line}"
                    groups.append(group)
    if problems:
        raise ConfigError(problems)
    return LoadedRules(tuple(groups), tuple(files))


def _repeated_lanes(document: Document) -> list[Problem]:
    """Lane names given twice in a group; read off the raw data, so that they are found beside other problems."""
    problems: list[Problem] = []
    for place, group in _items(document.data, "lane_groups"):
        seen: set[object] = set()
        for lane_place, lane in _items(group, "lanes"):
            name = lane.get("name")
            if name is not None and name in seen:
                location = (*place, *lane_place, "name")
                message = f"{dotted(location)}: lane name '{name}' is given twice in group '{group.get('name')}'"
                problems.append(document.problem(location, message))
            seen.add(name)
    return problems


def _items(data: Any, key: str) -> list[tuple[Location, dict[str, Any]]]:
    """The mappings in the list under a key, each with its location, as far as there are such."""
    items = data.get(key) if isinstance(data, dict) else None
    return (
        [((key, index), item) for index, item in enumerate(items or []) if isinstance(item, dict)]
        if isinstance(items, list)
        else []
    )


def _load(model: type[S], path: Path, overrides: Sequence[str], environ: Mapping[str, str]) -> Loaded[S]:
    document = load(path, environ)
    data = document.data if document.data is not None else {}
    problems: list[Problem] = []
    origins: dict[Location, str] = {}
    if isinstance(data, dict):
        data = overridden(data, model, overrides, environ, origins, problems)
    settings: S | None = None
    try:
        settings = _with_paths(_validate(model, document, data, origins), path)
        problems.extend(certificate_problems(settings, document))
    except ConfigError as error:
        problems.extend(error.problems)
    groups: tuple[LaneGroup, ...] = ()
    files: tuple[Path, ...] = (path,)
    sources: list[Path] = []
    for index, source in enumerate(settings.rules if settings is not None else _rules_of(data)):
        resolved = _beside(path, source)
        if resolved.exists():
            sources.append(resolved)
        else:
            location: Location = ("rules", index)
            problem = document.problem(location, f"rules: there is no file or directory '{resolved}'")
            problems.append(_from_origin(problem, location, origins))
    try:
        loaded = load_rules(sources, environ)
        groups = loaded.groups
        files += loaded.files
    except ConfigError as error:
        problems.extend(error.problems)
    if settings is not None and isinstance(settings, GatewaySettings):
        problems.extend(_route_problems(settings, document))
    if problems or settings is None:
        raise ConfigError(problems)
    files += tuple(Path(file) for file in certificate_files(settings))
    return Loaded(settings, groups, compile_rules(groups), files)


def _with_paths(settings: S, path: Path) -> S:
    """Settings whose file names are relative to the configuration no more."""
    beside = path.absolute().parent
    update: dict[str, Any] = {}
    if settings.access_log is not None and settings.access_log.path != STDOUT:
        log = settings.access_log
        update["access_log"] = log.model_copy(update={"path": str(beside / log.path)})
    services = dict(settings.services)
    for name, service in settings.services.items():
        if service.tls is not None and service.tls.ca is not None:
            tls = service.tls.model_copy(update={"ca": str(beside / service.tls.ca)})
            services[name] = service.model_copy(update={"tls": tls})
    update["services"] = services
    if isinstance(settings, GatewaySettings) and settings.tls is not None:
        certificates = [
            item.model_copy(update={"cert": str(beside / item.cert), "key": str(beside / item.key)})
            for item in settings.tls.certificates
        ]
        update["tls"] = settings.tls.model_copy(update={"certificates": certificates})
    return settings.model_copy(update=update)


def _beside(path: Path, source: str) -> Path:
    """A rules source, relative to its configuration; without `..` where that names the same, for people to read."""
    joined = path.parent / source
    plain = Path(os.path.normpath(joined))
    try:
        return plain if plain.samefile(joined) else joined
    except OSError:
        return joined


def _rules_of(data: Any) -> list[str]:
    """Where the rules are, read off a configuration that is broken elsewhere: their problems are shown with its own."""
    rules = data.get("rules", []) if isinstance(data, dict) else []
    if isinstance(rules, str):
        return [rules]
    return [item for item in rules if isinstance(item, str)] if isinstance(rules, list) else []


def _route_problems(settings: GatewaySettings, document: Document) -> list[Problem]:
    """What is wrong among the routes, each of which is sound."""
    problems: list[Problem] = []
    seen: set[str] = set()
    for index, route in enumerate(settings.routes):
        name = f"{route.host or ''}{route.path.rstrip('/') or '/'}"
        if name in seen:
            location: Location = ("routes", index, "path")
            problems.append(document.problem(location, f"{dotted(location)}: the route '{name}' is given twice"))
        seen.add(name)
        registry = settings.registry
        if route.service is None:
            continue
        if isinstance(registry, StaticRegistrySettings) and route.service not in registry.services:
            known = ", ".join(sorted(registry.services)) or "none"
            location = ("routes", index, "service")
            message = f"{dotted(location)}: service '{route.service}' is not in the static registry (it has: {known})"
            problems.append(document.problem(location, message))
    return problems


M = TypeVar("M", bound=Any)


def _validate(model: type[M], document: Document, data: Any, origins: Mapping[Location, str] | None = None) -> M:
    if not isinstance(data, dict):
        raise ConfigError([document.problem((), "the file must be a mapping of keys to values")])
    try:
        result: M = model.model_validate(data)
    except ValidationError as error:
        problems = validation_problems(error, document, model)
        if origins:
            locations = [detail["loc"] for detail in error.errors(include_url=False)]
            problems = [
                _from_origin(problem, location, origins) for problem, location in zip(problems, locations, strict=True)
            ]
        raise ConfigError(problems) from error
    return result


def _from_origin(problem: Problem, location: Location, origins: Mapping[Location, str]) -> Problem:
    """A problem of a value that came from the command line or the environment is blamed on that, not on the file."""
    for size in range(len(location), 0, -1):
        origin = origins.get(location[:size])
        if origin is not None:
            return Problem(origin, 0, 0, problem.message)
    return problem


def _yaml_files(directory: Path) -> list[Path]:
    """A directory's rule files by name; hidden ones (a ConfigMap's `..data`, an editor's swap file) are passed over."""
    return sorted(
        file
        for file in directory.iterdir()
        if file.suffix in SUFFIXES and not file.name.startswith(".") and file.is_file()
    )
