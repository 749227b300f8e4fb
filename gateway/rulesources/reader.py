"""Reads files of rules: lane groups and segments, with every problem of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from gateway.errors import ConfigError, Problem
from gateway.files import MAX_DATA, read_file
from gateway.rules.model import LaneGroup, RulesFile
from gateway.rules.ruleset import RuleSet
from gateway.rules.segments import SegmentError, segment_values
from gateway.rules.sources import SOURCES, in_form, is_possible
from gateway.rulesources.files import GroupPlace, LoadedRules, Overlay, is_named_as_rules, yaml_files
from gateway.rulesources.reach import Reach
from gateway.validation import validate
from gateway.yaml.reading import Document, Location, dotted, parse, read_text


class RulesReader:
    """Reads rules, and collects every problem of them. See `files.load_rules`."""

    def __init__(
        self,
        environ: Mapping[str, str] | None,
        overlay: Overlay,
        named: Callable[[Path], str],
        reach: Reach,
        given: Mapping[str, frozenset[str]],
    ) -> None:
        self._environ = environ
        self._overlay = overlay
        self._named = named
        self._reach = reach
        self._given = given
        self._texts: dict[Path, str] = {}
        self._problems: list[Problem] = []
        self._groups: list[LaneGroup] = []
        self._places: dict[str, GroupPlace] = {}
        self._segments: dict[str, frozenset[str]] = {}
        self._segment_places: dict[str, str] = {}
        self._segment_texts: dict[str, tuple[Path, str]] = {}
        """What the files of segments say, of which a problem may quote a value."""
        self._segment_files: dict[str, Path] = {}
        self._files: list[Path] = []

    def read(self, sources: Sequence[Path]) -> LoadedRules:
        """The rules of these files and directories. Raises ConfigError."""
        for source in sources:
            self._files.append(source)
            try:
                members = self._members(source)
            except OSError as error:
                message = f"cannot read the directory: {error.strerror or error}"
                self._problems.append(Problem(self._named(source), 1, 1, message))
                continue
            self._files.extend(member for member in members if member != source)
            for member in members:
                self._read_file(member)
        self._check_segments()
        if self._problems:
            raise ConfigError(self._problems, self._files)
        rules = RuleSet.of(self._groups, self._segments)
        return LoadedRules(rules, tuple(self._files), self._places, self._texts, self._named, self._segment_files)

    def _members(self, source: Path) -> list[Path]:
        if not source.is_dir():
            return [source]
        drafted = {path for path, text in self._overlay.items() if text is not None and path.parent == source}
        added = {path for path in drafted if is_named_as_rules(path)}
        removed = {path for path, text in self._overlay.items() if text is None}
        return sorted((set(yaml_files(source)) | added) - removed)

    def _read_file(self, file: Path) -> None:
        try:
            text = self._overlay.get(file)
            if text is None:
                text = read_text(file, self._named(file))
            self._texts[file] = text
            document = parse(text, self._named(file), self._reach.environment(file, self._environ))
            self._problems.extend(_repeated_lanes(document))
            content = validate(RulesFile, document, {} if document.data is None else document.data)
        except ConfigError as error:
            self._problems.extend(self._reach.explained(file, problem) for problem in error.problems)
            return
        for index, group in enumerate(content.lane_groups):
            known = self._places.get(group.name)
            if known is not None:
                named, line, _ = known.of_lane()
                message = f"lane group '{group.name}' is already defined in {named}:{line}"
                self._problems.append(document.problem(("lane_groups", index, "name"), message))
            else:
                self._places[group.name] = GroupPlace(file, document, index)
                self._groups.append(group)
        for index, segment in enumerate(content.segments):
            location: Location = ("segments", index)
            if segment.name in self._segment_places:
                message = f"segment '{segment.name}' is already defined in {self._segment_places[segment.name]}"
                self._problems.append(document.problem((*location, "name"), message))
                continue
            line, _ = document.place((*location, "name"))
            self._segment_places[segment.name] = f"{document.file}:{line}"
            if segment.name in self._given:
                self._segments[segment.name] = self._given[segment.name]
                continue
            path = self._reach.find(file, segment.file)
            if path is None:
                message = f"{dotted(location)}.file: '{segment.file}' is not below the directories of rules"
                self._problems.append(document.problem((*location, "file"), message))
                continue
            self._files.append(path)
            if not self._reach.is_outside(file):
                self._segment_files[segment.name] = path
            try:
                drafted = self._overlay.get(path)
                text = read_segment(path) if drafted is None else drafted
                self._segments[segment.name] = frozenset(value for _, value in segment_values(text))
                if not self._reach.is_outside(file):
                    self._segment_texts[segment.name] = path, text
            except SegmentError as error:
                if self._reach.is_outside(file):
                    message = f"{dotted(location)}.file: line {error.line} of '{segment.file}' is not a value"
                    self._problems.append(document.problem((*location, "file"), message))
                else:
                    self._problems.append(Problem(str(path), error.line, 1, str(error)))
            except OSError as error:
                message = f"{dotted(location)}.file: cannot read {path}: {error.strerror or error}"
                self._problems.append(document.problem((*location, "file"), message))
            except ConfigError as error:
                self._problems.extend(error.problems)

    def _check_segments(self) -> None:
        """Conditions that name a segment there is not, or one with values that what they look at can never have."""
        seen: set[tuple[str, str]] = set()
        for group in self._groups:
            place = self._places[group.name]
            for number, lane in enumerate(group.lanes):
                for leaf in lane.leaves():
                    name = leaf.test.segment
                    if name is None:
                        continue
                    at = place.of_lane(number, "match")
                    if name not in self._segment_places:
                        known = ", ".join(sorted(self._segment_places)) or "none"
                        message = f"lane {group.name}/{lane.name}: there is no segment '{name}' (there are: {known})"
                        self._problems.append(Problem(*at, message))
                    elif name in self._segments and (name, leaf.source) not in seen:
                        seen.add((name, leaf.source))
                        self._check_members(name, leaf.source, f"lane {group.name}/{lane.name}", at, place.path)

    def _check_members(self, name: str, source: str, user: str, at: tuple[str, int, int], file: Path) -> None:
        """Looks for a value of a segment that a source can never have; the lane `user` is at a place in a file."""
        if SOURCES[source].form is None or all(is_possible(source, value) for value in self._segments[name]):
            return
        if name not in self._segment_texts or self._reach.is_outside(file):
            # Not which value: the author of the rule need not be allowed to read the file.
            message = f"{user}: segment '{name}' has a value that can never be a {source}"
            self._problems.append(Problem(*at, message))
            return
        path, text = self._segment_texts[name]
        for line, value in segment_values(text):
            try:
                in_form(source, value)
            except ValueError as error:
                self._problems.append(Problem(str(path), line, 1, f"{error}; {user} compares segment '{name}'"))
                return


def read_segment(path: Path) -> str:
    """What a segment's file says. Raises OSError, and ConfigError for one that is empty (it is being written) or not UTF-8."""
    content = read_file(path, MAX_DATA)
    if not content:
        message = "the file is empty; for a segment without values, leave a comment"
        raise ConfigError([Problem(str(path), 1, 1, message)])
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ConfigError([Problem(str(path), line, 1, "the line is not UTF-8")]) from error


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
