"""Changing lane groups and segments while the gateway runs: as lanes are changed, with all that comes with it (`edit`)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from gateway.files import read_file
from gateway.rules.model import LaneGroup
from gateway.rulesources.files import LoadedRules
from gateway.ruletools.edit import (
    AlreadyThere,
    Change,
    LaneEditor,
    NotThere,
    Outdated,
    Refused,
    RunningRules,
    etag_of,
    place_of,
)
from gateway.yaml.editing import NotEditable, append_item, delete_item, put_keys

MAX_SEGMENT: Final = 1 << 20
"""Bytes of a segment that is changed here: one with more is for whatever made it."""


@dataclass(frozen=True, slots=True)
class GroupView:
    """A group without its lanes, `data` in plain values, how many `lanes` it has, and where it is."""

    name: str
    data: Mapping[str, Any]
    lanes: int
    etag: str
    file: str
    line: int


@dataclass(frozen=True, slots=True)
class SegmentView:
    """A segment: how many `values` it has, and the file that they are in."""

    name: str
    values: int
    file: str


class GroupEditor:
    """Edits groups, but for their lanes, and segments; one change at a time, together with `editor`."""

    def __init__(self, rules: RunningRules, editor: LaneEditor) -> None:
        self._rules = rules
        self._editor = editor

    def views(self) -> list[GroupView]:
        """Every group, in the order in which they are tried."""
        current = self._rules.lanes
        return [_view(current, group) for group in current.rules.groups]

    def view(self, name: str) -> GroupView:
        """A group. Raises NotThere."""
        current = self._rules.lanes
        place_of(current, name)
        return _view(current, next(group for group in current.rules.groups if group.name == name))

    async def create(self, data: Mapping[str, Any], author: str, dry_run: bool) -> Change:
        """Adds a group behind the others of the file that the last one is in. Raises AlreadyThere, Refused."""
        name = _name_in(data)
        async with self._editor.in_force():
            current = self._rules.lanes
            if name in current.places:
                raise AlreadyThere(f"lane group {name} already exists")
            paths = [place.path for place in current.places.values()] or list(current.texts)
            if not paths:
                raise Refused([("", "there is no file of rules yet: make one in a place that `rules` names")])
            cause = f"group {name} created"
            return await self._change(
                paths[-1], name, lambda text: append_item(text, ("lane_groups",), data), cause, author, dry_run
            )

    async def replace(self, name: str, data: Mapping[str, Any], etag: str, author: str, dry_run: bool) -> Change:
        """Has a group say something else; its lanes stay. Raises NotThere, Outdated, Refused."""
        if "lanes" in data:
            raise Refused([("lanes", "lanes are changed one by one")])
        named = {"name": name, **data}
        new_name = _name_in(named)
        async with self._editor.in_force():
            view = self._found(name, etag)
            place = place_of(self._rules.lanes, name)
            before = place.document.data["lane_groups"][place.index]
            values = {key: value for key, value in named.items() if view.data.get(key) != value}
            gone = [key for key in before if key != "lanes" and key not in named]
            cause = f"group {name} changed"
            return await self._change(
                place.path,
                new_name,
                lambda text: put_keys(text, ("lane_groups", place.index), values, gone),
                cause,
                author,
                dry_run,
            )

    async def delete(self, name: str, etag: str, author: str, dry_run: bool) -> Change:
        """Takes a group away, with its lanes. Raises NotThere, Outdated."""
        async with self._editor.in_force():
            self._found(name, etag)
            place = place_of(self._rules.lanes, name)
            cause = f"group {name} deleted"
            return await self._change(
                place.path, "", lambda text: delete_item(text, ("lane_groups", place.index)), cause, author, dry_run
            )

    def segments(self) -> list[SegmentView]:
        """Every segment, by name."""
        current = self._rules.lanes
        return [
            SegmentView(name, len(current.rules.segments[name]), str(path))
            for name, path in sorted(current.segments.items())
        ]

    async def segment(self, name: str) -> tuple[str, str]:
        """What the file of a segment says, and its ETag. Raises NotThere, and Refused if it is too large."""
        path = self._segment_file(name)
        try:
            text = (await asyncio.to_thread(read_file, path, MAX_SEGMENT)).decode()
        except (OSError, UnicodeDecodeError) as error:
            raise Refused([("", f"{path} cannot be changed here: {getattr(error, 'strerror', error)}")]) from error
        return text, etag_of(text)

    async def put_segment(self, name: str, text: str, etag: str, author: str, dry_run: bool) -> Change:
        """Has the file of a segment say something else. Raises NotThere, Outdated, Refused."""
        if not text:
            raise Refused([("", "for a segment without values, leave a comment: `# nobody`")])
        async with self._editor.in_force():
            before, found = await self.segment(name)
            if etag and etag != found:
                raise Outdated(f"segment {name} has changed: its ETag is now {found}")
            overlay: dict[Path, str | None] = {} if before == text else {self._segment_file(name): text}
            return await self._editor.make(overlay, f"segment {name} changed", author, dry_run, ("", ""))

    def _segment_file(self, name: str) -> Path:
        path = self._rules.lanes.segments.get(name)
        if path is None:
            known = ", ".join(sorted(self._rules.lanes.segments)) or "none"
            raise NotThere(f"there is no segment '{name}' (there are: {known})")
        return path

    def _found(self, name: str, etag: str) -> GroupView:
        view = self.view(name)
        if etag and etag != view.etag:
            raise Outdated(f"lane group {name} has changed: its ETag is now {view.etag}")
        return view

    async def _change(
        self, path: Path, name: str, edit: Callable[[str], str], cause: str, author: str, dry_run: bool
    ) -> Change:
        try:
            text = await asyncio.to_thread(edit, self._rules.lanes.texts[path])
        except NotEditable as error:
            raise Refused([("", f"{path}: {error}")]) from error
        return await self._editor.make({path: text}, cause, author, dry_run, (name, ""))


def group_data(group: LaneGroup) -> dict[str, Any]:
    """What a group says of itself, without its lanes, in plain values."""
    return {
        **group.model_dump(mode="json", by_alias=True, exclude_defaults=True, exclude={"lanes"}),
        "name": group.name,
    }


def _view(loaded: LoadedRules, group: LaneGroup) -> GroupView:
    place = place_of(loaded, group.name)
    said = {key: value for key, value in place.document.data["lane_groups"][place.index].items() if key != "lanes"}
    file, line, _ = place.of_lane()
    return GroupView(group.name, group_data(group), len(group.lanes), etag_of(said), file, line)


def _name_in(data: Mapping[str, Any]) -> str:
    name = data.get("name")
    if not isinstance(name, str):
        raise Refused([("name", "this key is required and must be text")])
    return name
