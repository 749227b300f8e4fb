"""Loading: from files to settings and compiled rules, or to every problem there is."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from gateway.config.settings import Config, read_config
from gateway.errors import ConfigError, Problem
from gateway.rules.ruleset import RuleSet
from gateway.rulesources.files import LoadedRules, Overlay, load_rules, yaml_files
from gateway.rulesources.lastgood import KeptRules
from gateway.rulesources.places import beside
from gateway.rulesources.reach import Reach
from gateway.rulesources.remote import Names, copy_path
from gateway.settings import RemoteSource, ServingSettings

if TYPE_CHECKING:
    from gateway.settings.gateway import GatewaySettings
    from gateway.settings.sidecar import SidecarSettings

S = TypeVar("S", bound=ServingSettings)


@dataclass(frozen=True, slots=True)
class Loaded(Generic[S]):
    """A whole configuration. `files` is everything that was read, or would be if it were there; directories included."""

    settings: S
    lanes: LoadedRules
    files: tuple[Path, ...]

    @property
    def rules(self) -> RuleSet:
        """The rules themselves."""
        return self.lanes.rules


@dataclass(frozen=True, slots=True)
class RulesFrom:
    """What a running program knows of its rules when it loads them again."""

    state: Path | None = None
    """The directory with copies of remote rules; None: that of the settings. Without one they are left out."""
    in_force: Collection[Path] = ()
    """The files of the rules in force. A directory that has none any more is a problem: it is being replaced, or is not
    mounted; nobody closes every lane like that."""
    overlay: Overlay | None = None
    kept: KeptRules | None = None
    """Rules to take in place of those that the configuration names."""


def load_role(
    model: type[S],
    path: Path,
    overrides: Sequence[str] = (),
    environ: Mapping[str, str] | None = None,
    rules_from: RulesFrom | None = None,
) -> Loaded[S]:
    """A role's configuration with its rules. Raises ConfigError with every problem of every file.

    `environ` fills `${…}` and has settings; None: the process's.
    """
    return _load(_config(model, path, overrides, environ), environ, rules_from)


def load_gateway(
    path: Path,
    overrides: Sequence[str] = (),
    environ: Mapping[str, str] | None = None,
    rules_from: RulesFrom | None = None,
) -> Loaded[GatewaySettings]:
    """The entry gateway's configuration with its rules, like `load_role`."""
    from gateway.settings.gateway import GatewaySettings

    return load_role(GatewaySettings, path, overrides, environ, rules_from)


def load_sidecar(
    path: Path,
    overrides: Sequence[str] = (),
    environ: Mapping[str, str] | None = None,
    rules_from: RulesFrom | None = None,
) -> Loaded[SidecarSettings]:
    """A sidecar's configuration with its rules, like `load_role`."""
    from gateway.settings.sidecar import SidecarSettings

    return load_role(SidecarSettings, path, overrides, environ, rules_from)


def check_file(model: type[S], path: Path) -> Loaded[S]:
    """A configuration as the file alone has it: the environment fills `${…}`, and has no settings. Raises ConfigError."""
    return _load(read_config(model, path, (), os.environ, {}), None, None)


def load_settings(
    model: type[S], path: Path, overrides: Sequence[str] = (), environ: Mapping[str, str] | None = None
) -> S:
    """The settings alone. Raises ConfigError if they have problems, with those of the rules."""
    config = _config(model, path, overrides, environ)
    if config.settings is None or config.problems:
        return _load(config, environ, None).settings
    return config.settings


def _config(model: type[S], path: Path, overrides: Sequence[str], environ: Mapping[str, str] | None) -> Config[S]:
    known = os.environ if environ is None else environ
    return read_config(model, path, overrides, known, known)


def _load(config: Config[S], environ: Mapping[str, str] | None, rules_from: RulesFrom | None) -> Loaded[S]:
    rules_from = rules_from or RulesFrom()
    settings, problems, files = config.settings, list(config.problems), list(config.files)
    state = rules_from.state
    if state is None and settings is not None and settings.state is not None:
        state = Path(settings.state)
    named = Names(() if settings is None else settings.rules, state)
    reach = _reach(config, state)
    lanes = LoadedRules()
    try:
        if rules_from.kept is not None:
            lanes = rules_from.kept.load(os.environ if environ is None else environ, named, reach)
        else:
            sources = _sources(config, state, problems, files)
            problems.extend(_emptied(sources, rules_from, named))
            lanes = load_rules(sources, environ, rules_from.overlay, named, reach)
        files.extend(lanes.files)
        if settings is not None:
            problems.extend(_unmet_needs(settings, lanes))
    except ConfigError as error:
        problems.extend(error.problems)
        files.extend(error.files)
    found = tuple(dict.fromkeys(files))
    if problems or settings is None:
        raise ConfigError(problems, found)
    return Loaded(settings, lanes, found)


def _sources(config: Config[Any], state: Path | None, problems: list[Problem], files: list[Path]) -> list[Path]:
    """The files and directories of rules that are there; adds what is not to the problems, and all of them to the files."""
    sources: list[Path] = []
    for index, source in enumerate(_rules_of(config.data) if config.settings is None else config.settings.rules):
        if isinstance(source, RemoteSource):
            # What is not there yet, no server has sent: there are no lanes until then, and readiness says so.
            copy = copy_path(source, state) if state is not None else None
            if copy is not None:
                files.append(copy)
                if copy.exists():
                    sources.append(copy)
            continue
        resolved = beside(config.path, source)
        files.append(resolved)
        if resolved.exists():
            sources.append(resolved)
        else:
            message = f"rules: there is no file or directory '{resolved}'"
            problems.append(config.problem(("rules", index), message))
    return sources


def _emptied(sources: Sequence[Path], rules_from: RulesFrom, named: Names) -> list[Problem]:
    """Directories that had files of rules, and have none any more."""
    had = {path.parent.absolute() for path in rules_from.in_force}
    message = "the directory no longer has a *.yaml file; to close every lane, leave a file with only a comment"
    return [
        Problem(named(source), 1, 1, message)
        for source in sources
        if source.absolute() in had and source.is_dir() and not yaml_files(source)
    ]


def _reach(config: Config[Any], state: Path | None) -> Reach:
    """What copies of remote rules may name: files beside them, and below the directories of this machine's rules."""
    sources = () if config.settings is None or state is None else config.settings.rules
    copies = [copy_path(source, state) for source in sources if isinstance(source, RemoteSource) and state is not None]
    local = [beside(config.path, source) for source in sources if not isinstance(source, RemoteSource)]
    beside_copies = [copy if copy.is_dir() else copy.parent for copy in copies]
    return Reach(copies, [*(source for source in local if source.is_dir()), *beside_copies])


def _unmet_needs(settings: ServingSettings, loaded: LoadedRules) -> list[Problem]:
    """Lanes that need what the configuration does not have."""
    problems: list[Problem] = []
    if not settings.is_entry:
        return problems  # lanes are matched at the entry
    for group in loaded.rules.groups:
        for number, lane in enumerate(group.lanes):
            wanted = {
                "sticky": settings.cookie_settings is None and lane.sticky is not None,
                "debug": not settings.debug_header and lane.debug,
                "jwt": settings.token_settings is None and any(leaf.jwt is not None for leaf in lane.leaves()),
            }
            for key, is_missing in wanted.items():
                if is_missing:
                    place = loaded.places[group.name].of_lane(number, "match" if key == "jwt" else key)
                    message = f"lane {group.name}/{lane.name} has {key}, and the configuration has no `{key}:`"
                    problems.append(Problem(*place, message))
    return problems


def _rules_of(data: Any) -> list[str]:
    """Where the rules are, read off a configuration that is broken elsewhere: their problems are shown with its own."""
    rules = data.get("rules", []) if isinstance(data, dict) else []
    items = rules if isinstance(rules, list) else [rules]
    return [item for item in items if isinstance(item, str) and item.strip() and "\0" not in item]
