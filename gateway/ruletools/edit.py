"""Changing lanes while the gateway runs: the file is edited, checked as a whole, written, and loaded like any other change.

Only what changes is rewritten: every other character of the file stays. A change that does not check leaves everything
as it was.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from gateway.errors import ConfigError, GatewayError
from gateway.files import unified_diff
from gateway.rules.model import Lane
from gateway.rules.ruleset import RuleSet
from gateway.rulesources.files import FILES_CHANGED, GroupPlace, LoadedRules, Overlay
from gateway.rulesources.places import Places
from gateway.ruletools.format import in_house_style, plain_lane
from gateway.yaml.editing import NotEditable, append_item, delete_item, put_keys
from gateway.yaml.reading import Location, parse, parse_verbatim, read_text
from gateway.yaml.writing import write_yaml


class NotThere(GatewayError):
    """There is no such group or lane."""


class AlreadyThere(GatewayError):
    """There is a lane of this name already."""


class Outdated(GatewayError):
    """The lane is not what the caller thinks it is (its ETag differs)."""


class NotInForce(GatewayError):
    """Files say something that does not run: a change would be made of rules that nobody sees."""


class Misplaced(GatewayError):
    """A revision has files that the configuration's rules cannot have now, or lacks one that they must have."""


class Refused(GatewayError):
    """The change does not check. `errors` are (field, message) pairs; the field is relative to the lane."""

    def __init__(self, errors: list[tuple[str, str]]) -> None:
        self.errors = errors
        super().__init__("; ".join(f"{field}: {message}" if field else message for field, message in errors))


@dataclass(frozen=True, slots=True)
class LaneView:
    """A lane, `data` in plain values, and where it is. `etag` changes with what its file says of it."""

    group: str
    name: str
    data: Mapping[str, Any]
    etag: str
    file: str
    line: int


@dataclass(frozen=True, slots=True)
class Change:
    """A change that was made, or would be. `lane` is None for one that was deleted; `diff` is of the file.

    `rules` are all rules after it.
    """

    lane: LaneView | None
    revision: int
    diff: str
    rules: RuleSet


class RunningRules(Protocol):
    """The rules of a running gateway, as the editor changes them."""

    @property
    def lanes(self) -> LoadedRules:
        """Those in force."""
        ...

    @property
    def revision(self) -> int:
        """The number of the revision in force."""
        ...

    @property
    def places(self) -> Places:
        """What files are called in the history."""
        ...

    def try_load(self, overlay: Overlay) -> LoadedRules:
        """What they would be with other texts. Raises ConfigError."""
        ...

    async def write(self, overlay: Overlay) -> None:
        """Puts texts where they belong."""
        ...

    async def reload(self, cause: str, author: str) -> int:
        """Loads them; returns the revision in force after that."""
        ...


class LaneEditor:
    """Edits the rules of a running gateway; one change at a time."""

    def __init__(self, rules: RunningRules) -> None:
        self._rules = rules
        self._lock = asyncio.Lock()

    def view(self, group: str, name: str) -> LaneView:
        """A lane. Raises NotThere."""
        return _view(self._rules.lanes, group, name)

    def views(self, group: str) -> list[LaneView]:
        """The lanes of a group, in order. Raises NotThere."""
        current = self._rules.lanes
        place = place_of(current, group)
        lanes = next(item for item in current.rules.groups if item.name == group).lanes
        return [_shown(place, group, lanes[number], number, data) for number, data in enumerate(_lanes(place))]

    async def create(self, group: str, data: Mapping[str, Any], author: str, dry_run: bool) -> Change:
        """Adds a lane behind the others of its group. Raises NotThere, AlreadyThere, Refused."""
        name = _name_in(data)

        def add(text: str, lanes: Location) -> str:
            return append_item(text, lanes, in_house_style(data))

        async with self.in_force():
            if any(lane["name"] == name for lane in _lanes(place_of(self._rules.lanes, group))):
                raise AlreadyThere(f"lane {group}/{name} already exists")
            return await self._change(group, name, add, f"lane {group}/{name} created", author, dry_run)

    async def replace(
        self, group: str, name: str, data: Mapping[str, Any], etag: str, author: str, dry_run: bool
    ) -> Change:
        """Puts another lane in a lane's place. Raises NotThere, Outdated, Refused."""
        named = {"name": name, **data}
        new_name = _name_in(named)

        async with self.in_force():
            index, before = self._find(group, name, etag)
            # A moment and a number may be spelt in several ways: what is the same value stays as it is spelt.
            plain = self.view(group, name).data
            values = {key: value for key, value in named.items() if key not in plain or plain[key] != value}

            def put(text: str, lanes: Location) -> str:
                return _with_values(text, (*lanes, index), before, values, set(before) - set(named))

            return await self._change(group, new_name, put, f"lane {group}/{name} replaced", author, dry_run)

    async def patch(
        self,
        group: str,
        name: str,
        data: Mapping[str, Any],
        etag: str,
        author: str,
        dry_run: bool,
        *,
        what: str = "changed",
    ) -> Change:
        """Changes some keys of a lane; null takes one away (RFC 7396). Raises NotThere, Outdated, Refused."""
        new_name = _name_in({"name": name, **data})
        values = {key: value for key, value in data.items() if value is not None}

        async with self.in_force():
            index, before = self._find(group, name, etag)

            def merge(text: str, lanes: Location) -> str:
                return _with_values(text, (*lanes, index), before, values, set(data) - set(values))

            return await self._change(group, new_name, merge, f"lane {group}/{name} {what}", author, dry_run)

    async def put(
        self, group: str, name: str, values: Mapping[Location, Any], etag: str, author: str, what: str
    ) -> Change:
        """Puts values at places inside a lane, where None takes one away; whatever else the lane says stays as it is written.

        `what` says it in the history. Raises NotThere, Outdated, Refused.
        """
        async with self.in_force():
            index, _ = self._find(group, name, etag)

            def put(text: str, lanes: Location) -> str:
                for (*inside, key), value in values.items():
                    new, gone = ({}, [str(key)]) if value is None else ({str(key): value}, [])
                    text = put_keys(text, (*lanes, index, *inside), new, gone)
                return text

            return await self._change(group, name, put, f"lane {group}/{name} {what}", author, dry_run=False)

    async def delete(self, group: str, name: str, etag: str, author: str, dry_run: bool) -> Change:
        """Takes a lane away. Raises NotThere, Outdated."""
        async with self.in_force():
            index, _ = self._find(group, name, etag)

            def drop(text: str, lanes: Location) -> str:
                return delete_item(text, (*lanes, index))

            return await self._change(group, "", drop, f"lane {group}/{name} deleted", author, dry_run)

    async def roll_back(self, files: Mapping[str, str], cause: str, author: str, dry_run: bool) -> Change:
        """Makes the files what they were; those that were not there are removed. Raises Misplaced and Refused.

        What the files say now need not be in force: this is a way out of a change that does not check.
        """
        async with self._lock:
            then = self._then(files)
            now = await asyncio.to_thread(_on_disk, {*self._rules.lanes.texts, *then})
            overlay: dict[Path, str | None] = {path: text for path, text in then.items() if now[path] != text}
            overlay.update({path: None for path, text in now.items() if path not in then and text is not None})
            return await self.make(overlay, cause, author, dry_run, ("", ""))

    def _then(self, files: Mapping[str, str]) -> dict[Path, str]:
        """The files of a revision, where they are now. Raises Misplaced."""
        places, known = self._rules.places, list(self._rules.lanes.texts)
        then: dict[Path, str] = {}
        for name, text in files.items():
            path = places.find(name, known)
            if path is None:
                raise Misplaced(f"the revision has a file {name!r}, but the configuration's `rules` have no such place")
            then[path] = text
        for path in known:
            if path not in then and places.is_source(path):
                message = f"the revision is older than {places.name(path)!r} among the configuration's `rules`"
                raise Misplaced(f"{message}, which cannot be removed")
        return then

    @asynccontextmanager
    async def in_force(self) -> AsyncIterator[None]:
        """One change at a time, and only while the files are what runs. Raises NotInForce."""
        async with self._lock:
            if await self._changed_files():
                await self._rules.reload(FILES_CHANGED, "")
            changed = await self._changed_files()
            if changed:
                names = ", ".join(map(str, changed))
                raise NotInForce(f"changed but not in force: {names}; fix it or roll back before changing lanes")
            yield

    async def _changed_files(self) -> list[Path]:
        texts = self._rules.lanes.texts
        found = await asyncio.to_thread(_on_disk, texts)
        return [path for path, text in texts.items() if found[path] != text]

    def _find(self, group: str, name: str, etag: str) -> tuple[int, dict[str, Any]]:
        """Which lane of its group it is, and what its file says of it. Raises NotThere and Outdated."""
        view = self.view(group, name)
        if etag and etag != view.etag:
            raise Outdated(f"lane {group}/{name} has changed: its ETag is now {view.etag}")
        lanes = _lanes(place_of(self._rules.lanes, group))
        return next((index, lane) for index, lane in enumerate(lanes) if lane["name"] == name)

    async def _change(
        self,
        group: str,
        name: str,
        edit: Callable[[str, Location], str],
        cause: str,
        author: str,
        dry_run: bool,
    ) -> Change:
        """`edit` makes the new text of a file from the old one, and the location of the group's lanes in it."""
        current = self._rules.lanes
        place = place_of(current, group)
        path = place.path
        lanes: Location = ("lane_groups", place.index, "lanes")
        try:
            text = await asyncio.to_thread(edit, current.texts[path], lanes)
        except NotEditable as error:
            raise Refused([("", f"{path}: {error}")]) from error
        return await self.make({path: text}, cause, author, dry_run, (group, name))

    async def make(self, overlay: Overlay, cause: str, author: str, dry_run: bool, wanted: tuple[str, str]) -> Change:
        """Checks, and unless `dry_run` writes and loads, these texts. Raises Refused and NotInForce.

        `wanted` are the group and the lane that the change is about, as far as it is about one: problems name fields of that.
        """
        try:
            loaded = await asyncio.to_thread(self._rules.try_load, overlay)
        except ConfigError as error:
            raise Refused(_fields(error, overlay, wanted)) from error
        before = await asyncio.to_thread(_on_disk, overlay)
        diff = "".join(_diff(before[path], text, loaded.named(path)) for path, text in overlay.items())
        revision = self._rules.revision
        if not dry_run and overlay:
            await self._rules.write(overlay)
            revision = await self._rules.reload(cause, author)
            loaded = self._rules.lanes
            segments = set(loaded.segments.values())
            if any(loaded.texts.get(path) != text for path, text in overlay.items() if path not in segments):
                raise NotInForce("the change is written but not in force: other files have problems")
        return Change(_view(loaded, *wanted) if wanted[1] else None, revision, diff, loaded.rules)


def _with_values(
    text: str, lane: Location, before: Mapping[str, Any], values: Mapping[str, Any], gone: Collection[str]
) -> str:
    """The text with these values in a lane, and without the keys that are `gone`. `before` is what it says now.

    What says the same already stays as it is written.
    """
    changed = {key: value for key, value in in_house_style(values).items() if not _says(before, key, value)}
    return put_keys(text, lane, changed, [key for key in before if key in gone])


def _says(before: Mapping[str, Any], key: str, value: Any) -> bool:
    return key in before and bool(before[key] == parse_verbatim(write_yaml(value, has_variables=False), "").data)


def _name_in(data: Mapping[str, Any]) -> str:
    """The name that a lane gives itself. Raises Refused."""
    name = data.get("name")
    if not isinstance(name, str):
        raise Refused([("name", "this key is required and must be text")])
    return name


def place_of(loaded: LoadedRules, group: str) -> GroupPlace:
    """Where a group is. Raises NotThere."""
    place = loaded.places.get(group)
    if place is None:
        known = ", ".join(loaded.places) or "none"
        raise NotThere(f"there is no lane group '{group}' (there are: {known})")
    return place


def _lanes(place: GroupPlace) -> list[dict[str, Any]]:
    lanes: list[dict[str, Any]] = place.document.data["lane_groups"][place.index].get("lanes") or []
    return lanes


def _view(loaded: LoadedRules, group: str, name: str) -> LaneView:
    place = place_of(loaded, group)
    for number, data in enumerate(_lanes(place)):
        if data["name"] == name:
            lanes = next(item for item in loaded.rules.groups if item.name == group).lanes
            return _shown(place, group, lanes[number], number, data)
    raise NotThere(f"there is no lane '{name}' in group '{group}'")


def _shown(place: GroupPlace, group: str, lane: Lane, number: int, data: Mapping[str, Any]) -> LaneView:
    file, line, _ = place.of_lane(number)
    return LaneView(group, lane.name, {**plain_lane(lane), "enabled": lane.enabled}, etag_of(data), file, line)


def etag_of(data: Any) -> str:
    """What changes with what a file says of something."""
    return hashlib.sha256(json.dumps(data, sort_keys=True, ensure_ascii=False).encode()).hexdigest()[:16]


def _fields(error: ConfigError, overlay: Overlay, wanted: tuple[str, str]) -> list[tuple[str, str]]:
    """The problems with the fields they are about, as seen from the lane, or the group, that was to be written."""
    prefix = ""
    for path, text in overlay.items():
        data = parse(text, str(path)).data if text is not None and wanted[0] else None
        for number, group in enumerate((data or {}).get("lane_groups") or []):
            if wanted == (group.get("name"), ""):
                prefix = f"lane_groups.{number}"
            for index, lane in enumerate(group.get("lanes") or []):
                if (group.get("name"), lane.get("name")) == wanted:
                    prefix = f"lane_groups.{number}.lanes.{index}"
    found: list[tuple[str, str]] = []
    for problem in error.problems:
        field, colon, message = problem.message.partition(": ")
        if prefix and colon and (field == prefix or field.startswith(prefix + ".")):
            found.append((field.removeprefix(prefix).lstrip("."), message))
        else:
            found.append(("", str(problem)))
    return found


def _on_disk(paths: Iterable[Path]) -> dict[Path, str | None]:
    """What files say; None for one that is not there or cannot be read."""
    found: dict[Path, str | None] = {}
    for path in paths:
        try:
            found[path] = read_text(path)
        except ConfigError:
            found[path] = None
    return found


def _diff(before: str | None, after: str | None, name: str) -> str:
    names = [name if text is not None else "/dev/null" for text in (before, after)]
    return unified_diff(before or "", after or "", *names)
