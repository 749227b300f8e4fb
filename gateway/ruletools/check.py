"""Checking files of any kind without starting: what `gateway check` does."""

from __future__ import annotations

import os
from collections.abc import Collection, Sequence
from pathlib import Path

from gateway.config.load import check_file
from gateway.errors import ConfigError, Problem
from gateway.files import read_file
from gateway.rules.model import RulesFile
from gateway.rulesources.files import SUFFIXES, load_rules
from gateway.ruletools.ruletests import RuleTestFile, load_tests
from gateway.settings.gateway import GatewaySettings
from gateway.settings.sidecar import SidecarSettings
from gateway.spelling import closest
from gateway.yaml.reading import Document, load


def check(paths: Sequence[Path], passed_over: Collection[Path] = ()) -> tuple[list[Problem], int]:
    """Every problem in files and directories of any kind, and how many files were looked at, rules included.

    `${…}` is filled from the environment; GATEWAY_… settings stay out of it: the files are judged, not this shell.
    Lane groups must be unique among the files of one directory, as they are loaded together. Files of other kinds, absolute
    paths, are ignored, and so are a directory's manifests of Kubernetes and files of Prometheus.
    """
    problems: list[Problem] = []
    rules: dict[Path, list[Path]] = {}
    seen: set[Path] = set()
    for path in paths:
        members = yaml_files_below(path) if path.is_dir() else [path]
        if not members:
            problems.append(Problem(str(path), 1, 1, "the directory has no *.yaml file"))
        for member in members:
            if member.absolute() in passed_over or (member != path and _is_foreign(member)):
                continue
            seen.add(member)
            try:
                document = load(member)
                kind = kind_of(document)
                if kind is RuleTestFile:
                    load_tests([member])
                elif kind is RulesFile:
                    rules.setdefault(member.parent, []).append(member)
                else:
                    seen.update(
                        check_file(SidecarSettings if kind is SidecarSettings else GatewaySettings, member).files
                    )
            except ConfigError as error:
                problems.extend(error.problems)
                seen.update(error.files)
    for members in rules.values():
        try:
            load_rules(members)
        except ConfigError as error:
            problems.extend(error.problems)
            seen.update(error.files)
    return sorted(set(problems)), sum(path.is_file() for path in seen)


def kind_of(document: Document) -> type[RulesFile | RuleTestFile | SidecarSettings | GatewaySettings]:
    """What a file is, read off its keys (slips of the pen included). Raises ConfigError if that is unclear."""
    data = document.data
    if data is None:
        return RulesFile  # a file whose lanes are all commented out
    if not isinstance(data, dict):
        raise ConfigError([document.problem((), "the file must be a mapping of keys to values")])
    # A sidecar's keys come first where they tell: it has most of the entry gateway's keys, but not the other way round.
    for kind, telling in (
        (RulesFile, ["lane_groups", "segments"]),
        (RuleTestFile, ["tests"]),
        (SidecarSettings, ["app", "inbound", "outbound", "advertise", "trace_memory"]),
        (GatewaySettings, list(GatewaySettings.model_fields)),
        (SidecarSettings, list(SidecarSettings.model_fields)),
    ):
        if any(closest(key, telling, cutoff=0.75) for key in data):
            return kind
    message = "this is not a gateway configuration, a sidecar configuration or lane rules: none of its keys is known"
    raise ConfigError([document.problem((), message)])


_FOREIGN = (
    (b"\napiVersion:", b"\nkind:"),  # objects of Kubernetes
    (b"\nscrape_configs:",),  # Prometheus' configuration,
    (b"\ngroups:", b" expr:"),  # its alerts,
    (b"\nrule_files:",),  # and their tests
)
"""What files have that others' tools check: all of one line."""


def _is_foreign(path: Path) -> bool:
    """Whether a file is another program's: these may be beside ours."""
    try:
        text = b"\n" + read_file(path)
    except OSError:
        return False
    return any(all(part in text for part in parts) for parts in _FOREIGN)


def yaml_files_below(directory: Path) -> list[Path]:
    """All YAML files below a directory, in order; hidden files and directories are ignored, and so are Helm's charts."""
    found: list[Path] = []
    for folder, folders, names in os.walk(directory):
        if "Chart.yaml" in names:
            folders.clear()  # templates are not YAML
            continue
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        found.extend(Path(folder, name) for name in names if not name.startswith(".") and name.endswith(SUFFIXES))
    return sorted(found)
