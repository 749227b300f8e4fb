"""Linting files: what is known of routes and services comes from a configuration, and findings get their places."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from gateway.config.load import load_gateway
from gateway.config.matching import make_environment
from gateway.rules.environment import MatchEnvironment, Place
from gateway.rulesources.files import LoadedRules, load_rules
from gateway.ruletools.lint import Finding, Knowledge, lint
from gateway.settings import known_instances
from gateway.settings.gateway import GatewaySettings


@dataclass(frozen=True, slots=True)
class PlacedFinding:
    """A finding and where it is."""

    finding: Finding
    file: str
    line: int
    column: int


def lint_files(paths: Sequence[Path], config: Path | None, entry: str) -> list[PlacedFinding]:
    """Every finding of files and directories, or of a configuration's own rules, by place. Raises ConfigError."""
    known = Knowledge()
    environment = MatchEnvironment(time.time, place=Place(entry))
    loaded: LoadedRules | None = None
    if config is not None:
        gateway = load_gateway(config)
        known = _knowledge(gateway.settings)
        environment = make_environment(gateway.settings)
        loaded = gateway.lanes
    if paths or loaded is None:
        loaded = load_rules(list(paths) or [Path("rules")])
    found = [_placed(finding, loaded) for finding in lint(loaded.rules, environment, known)]
    return sorted(found, key=lambda item: (item.file, item.line, item.column, item.finding.code))


def _knowledge(settings: GatewaySettings) -> Knowledge:
    known = known_instances(settings.all_registries.values())
    tags = None
    if known is not None:
        tags = {name: frozenset(item.tag for item in items) for name, items in known.items()}
    return Knowledge(
        tags,
        tuple(route.path for route in settings.routes),
        any(route.inspect_body for route in settings.routes),
        settings.carriers.header,
    )


def _placed(finding: Finding, loaded: LoadedRules) -> PlacedFinding:
    place = loaded.places.get(finding.group)
    if place is None:
        file = next(iter(loaded.texts), Path("rules"))
        return PlacedFinding(finding, str(file), 1, 1)
    group = next(group for group in loaded.rules.groups if group.name == finding.group)
    number = next((index for index, lane in enumerate(group.lanes) if lane.name == finding.lane), None)
    return PlacedFinding(finding, *place.of_lane(number, finding.key))
