"""Loading: from files to settings and compiled rules, or to every problem there is."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from gateway.control.certificates import certificate_files, certificate_problems
from gateway.control.mirror import mirror_path
from gateway.control.overrides import overridden
from gateway.control.rulefiles import LoadedRules, Overlay, load_rules
from gateway.control.tokens import token_files, token_problems
from gateway.control.validate import from_origin, validate
from gateway.errors import ConfigError, Problem
from gateway.rules.ruleset import RuleSet
from gateway.settings import (
    ConsulRegistrySettings,
    GatewaySettings,
    RegistrySettings,
    RemoteRules,
    ServingSettings,
    SidecarSettings,
    known_instances,
)
from gateway.telemetry.linefile import STDOUT
from gateway.yamlfile import Document, Location, dotted, load

S = TypeVar("S", bound=ServingSettings)


@dataclass(frozen=True, slots=True)
class Loaded(Generic[S]):
    """A whole configuration. `files` is everything that was read, directories of rules included."""

    settings: S
    lanes: LoadedRules
    files: tuple[Path, ...]

    @property
    def rules(self) -> RuleSet:
        """The rules themselves."""
        return self.lanes.rules


LoadedGateway = Loaded[GatewaySettings]
LoadedSidecar = Loaded[SidecarSettings]


def load_gateway(
    path: Path,
    overrides: Sequence[str] = (),
    environ: Mapping[str, str] | None = None,
    state: Path | None = None,
    overlay: Overlay | None = None,
) -> LoadedGateway:
    """The entry gateway's configuration with its rules. Raises ConfigError with every problem of every file.

    `state` is the directory with copies of remote rules; without it they are left out. See `Overlay`.
    """
    return _load(GatewaySettings, path, overrides, os.environ if environ is None else environ, state, overlay)


def load_sidecar(
    path: Path,
    overrides: Sequence[str] = (),
    environ: Mapping[str, str] | None = None,
    state: Path | None = None,
) -> LoadedSidecar:
    """A sidecar's configuration with its rules. Raises ConfigError with every problem of every file."""
    return _load(SidecarSettings, path, overrides, os.environ if environ is None else environ, state)


def _load(
    model: type[S],
    path: Path,
    overrides: Sequence[str],
    environ: Mapping[str, str],
    state: Path | None,
    overlay: Overlay | None = None,
) -> Loaded[S]:
    document = load(path, environ)
    data = document.data if document.data is not None else {}
    problems: list[Problem] = []
    origins: dict[Location, str] = {}
    if isinstance(data, dict):
        data = overridden(data, model, overrides, environ, origins, problems)
    settings: S | None = None
    try:
        settings = _with_paths(validate(model, document, data, origins), path)
        problems.extend(certificate_problems(settings, document))
        problems.extend(token_problems(settings, document))
    except ConfigError as error:
        problems.extend(error.problems)
    lanes = LoadedRules()
    if state is None and settings is not None and settings.state is not None:
        state = Path(settings.state)
    files: tuple[Path, ...] = (path,)
    sources: list[Path] = []
    for index, source in enumerate(settings.rules if settings is not None else _rules_of(data)):
        if isinstance(source, RemoteRules):
            # What is not there yet, nobody has answered: there are no lanes until then, and readiness says so.
            copy = mirror_path(source, state) if state is not None else None
            if copy is not None and copy.exists():
                sources.append(copy)
            continue
        resolved = _beside(path, source)
        if resolved.exists():
            sources.append(resolved)
        else:
            location: Location = ("rules", index)
            problem = document.problem(location, f"rules: there is no file or directory '{resolved}'")
            problems.append(from_origin(problem, location, origins))
    try:
        lanes = load_rules(sources, environ, overlay)
        files += lanes.files
        if settings is not None:
            problems.extend(_unmet_needs(settings, lanes))
    except ConfigError as error:
        problems.extend(error.problems)
    if settings is not None and isinstance(settings, GatewaySettings):
        problems.extend(_route_problems(settings, document))
    if problems or settings is None:
        raise ConfigError(problems)
    files += tuple(Path(file) for file in (*certificate_files(settings), *token_files(settings)))
    return Loaded(settings, lanes, files)


def _unmet_needs(settings: ServingSettings, loaded: LoadedRules) -> list[Problem]:
    """Lanes that ask for what the configuration does not have."""
    problems: list[Problem] = []
    if not isinstance(settings, GatewaySettings):
        return problems
    for group in loaded.rules.groups:
        for number, lane in enumerate(group.lanes):
            wanted = {
                "sticky": settings.sticky is None and lane.sticky is not None,
                "debug": settings.debug is None and lane.debug,
                "jwt": settings.jwt is None and any(leaf.jwt is not None for leaf in lane.leaves()),
            }
            for key, is_missing in wanted.items():
                if is_missing:
                    place = loaded.places[group.name].of_lane(number, "match" if key == "jwt" else key)
                    message = f"lane {group.name}/{lane.name} has {key}, and the configuration has no `{key}:`"
                    problems.append(Problem(*place, message))
    return problems


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
    if isinstance(settings, GatewaySettings | SidecarSettings):
        update["registry"] = None if settings.registry is None else _with_ca(settings.registry, beside)
        update["registries"] = {name: _with_ca(registry, beside) for name, registry in settings.registries.items()}
    if settings.state is not None:
        update["state"] = str(beside / settings.state)
    if isinstance(settings, GatewaySettings) and settings.tls is not None:
        certificates = [
            item.model_copy(update={"cert": str(beside / item.cert), "key": str(beside / item.key)})
            for item in settings.tls.certificates
        ]
        update["tls"] = settings.tls.model_copy(update={"certificates": certificates})
    if isinstance(settings, GatewaySettings) and settings.jwt is not None:
        keys = [key.model_copy(update={"file": str(beside / key.file)}) for key in settings.jwt.keys]
        update["jwt"] = settings.jwt.model_copy(update={"keys": keys})
    return settings.model_copy(update=update)


def _with_ca(registry: RegistrySettings, beside: Path) -> RegistrySettings:
    if isinstance(registry, ConsulRegistrySettings) and registry.ca is not None:
        return registry.model_copy(update={"ca": str(beside / registry.ca)})
    return registry


def _beside(path: Path, source: str) -> Path:
    """A rules source, relative to its configuration; without `..` where that names the same, for people to read."""
    joined = path.parent / source
    plain = Path(os.path.normpath(joined))
    try:
        return plain if plain.samefile(joined) else joined
    except (OSError, ValueError):  # ValueError: a NUL
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
    known = known_instances(settings.all_registries.values())
    for index, route in enumerate(settings.routes):
        name = f"{route.host or ''}{route.path.rstrip('/') or '/'}"
        if name in seen:
            location: Location = ("routes", index, "path")
            problems.append(document.problem(location, f"{dotted(location)}: the route '{name}' is given twice"))
        seen.add(name)
        if route.service is not None and known is not None and route.service not in known:
            names = ", ".join(sorted(known)) or "none"
            location = ("routes", index, "service")
            message = f"{dotted(location)}: service '{route.service}' is not in the static registry (it has: {names})"
            problems.append(document.problem(location, message))
    return problems
