"""YAML as people write it: the same data in many forms, with comments whose places are known."""

from __future__ import annotations

import json
import random
from dataclasses import dataclass
from typing import Any

from gateway.yaml.reading import Location
from gateway.yaml.writing import write_yaml


@dataclass(frozen=True)
class Comment:
    """A comment between the members of `container`; or on a line of `member`, behind its last character or before its first."""

    text: str
    container: Location
    member: Location | None = None

    def goes_with(self, location: Location) -> bool:
        """Whether it stands inside the value at a location, or on a line of it."""
        size = len(location)
        return self.container[:size] == location or (self.member is not None and self.member[:size] == location)

    def is_inside(self, location: Location) -> bool:
        """Whether it may stand inside the value at a location: behind its first character and before its last."""
        size = len(location)
        return self.container[:size] == location or (
            self.member is not None and self.member[:size] == location != self.member
        )


class Scribe:
    """Writes data in a form that it chooses at random."""

    def __init__(self, rng: random.Random, has_anchors: bool = True) -> None:
        self._rng = rng
        self._step = rng.choice([2, 2, 3, 4])
        self._is_indentless = rng.random() < 0.3
        self._flow = rng.choice([0.0, 0.2, 0.5])
        self._comments = rng.choice([0.0, 0.3, 0.6])
        self._anchoring = rng.choice([0.0, 0.3]) if has_anchors else 0.0
        self._anchors: dict[str, str] = {}
        self._count = 0
        self.comments: list[Comment] = []

    def write(self, data: Any) -> str:
        """The whole file."""
        lines = [*self._loose((), 0), *(["---"] if self._is_chosen(0.2) else [])]
        lines += [*self._mapping(data, 0, ()), *self._loose((), 0)]
        if self._is_chosen(0.1):
            lines += ["...", *self._loose((), 0)]
        text = "\n".join(lines) + "\n" * self._rng.choice([0, 1, 1, 1, 3])
        return text.replace("\n", "\r\n") if self._is_chosen(0.2) else text

    def _is_chosen(self, share: float) -> bool:
        return self._rng.random() < share

    def _comment(self, container: Location, member: Location | None = None) -> str:
        found = Comment(
            f"# c{len(self.comments)} {self._rng.choice(['', '- name: x', 'é', 'it: [', '#'])}".rstrip(),
            container,
            member,
        )
        self.comments.append(found)
        return found.text

    def _behind(self, member: Location) -> str:
        """Perhaps a comment behind what stands on a line."""
        return (
            f" {' ' * self._rng.choice([0, 3])}{self._comment(member[:-1], member)}"
            if self._is_chosen(self._comments)
            else ""
        )

    def _loose(self, container: Location, indent: int, member: Location | None = None) -> list[str]:
        """Perhaps lines of comments, or blank ones."""
        lines = []
        while self._is_chosen(self._comments / 2):
            column = max(0, indent + self._rng.choice([0, 0, 0, -2, 2]))
            lines.append("" if self._is_chosen(0.3) else " " * column + self._comment(container, member))
        return lines

    def _mapping(self, data: dict[str, Any], indent: int, at: Location) -> list[str]:
        lines: list[str] = []
        for key, value in data.items():
            lines += self._loose(at, indent) if lines else []
            lines += self._value(f"{' ' * indent}{key}:", value, indent, (*at, key))
        return lines

    def _sequence(self, data: list[Any], indent: int, at: Location) -> list[str]:
        lines: list[str] = []
        for index, value in enumerate(data):
            lines += self._loose(at, indent) if lines else []
            place = (*at, index)
            if isinstance(value, dict) and value and not self._is_flow(value) and self._is_chosen(0.8):
                gap = self._rng.choice([1, 1, 3])
                first, *rest = self._mapping(value, indent + 1 + gap, place)
                lines += [" " * indent + "-" + " " * gap + first.lstrip(), *rest]
            else:
                lines += self._value(" " * indent + "-", value, indent, place)
        return lines

    def _is_flow(self, value: Any) -> bool:
        return self._is_chosen(self._flow) or not value

    def _value(self, head: str, value: Any, indent: int, at: Location) -> list[str]:
        """A key or a dash with its value behind or below it."""
        if not isinstance(value, dict | list):
            return [
                head
                + (f" {self._scalar(value)}" if value is not None or self._is_chosen(0.5) else "")
                + self._behind(at)
            ]
        known = json.dumps(value)
        if known in self._anchors and self._is_chosen(0.8):
            return [f"{head} *{self._anchors[known]}{self._behind(at)}"]
        anchor = f"a{self._count}" if self._is_chosen(self._anchoring) else ""
        self._count += 1
        head += f" &{anchor}" if anchor else ""
        if self._is_flow(value):
            lines = [f"{head} {self._braces(value, indent + 2, at)}{self._behind(at)}"]
        else:
            head += self._behind(at)
            is_close = isinstance(value, list) and self._is_indentless and not head.lstrip().startswith("-")
            inner = indent + (0 if is_close else self._step)
            loose = self._loose(at[:-1], inner, at)
            below = self._sequence(value, inner, at) if isinstance(value, list) else self._mapping(value, inner, at)
            lines = [head, *loose, *below]
        if anchor:
            self._anchors[known] = anchor
        return lines

    def _braces(self, value: Any, indent: int, at: Location) -> str:
        if not isinstance(value, dict | list):
            return self._scalar(value)
        opening, closing = "[]" if isinstance(value, list) else "{}"
        pairs = enumerate(value) if isinstance(value, list) else value.items()
        items = [
            (
                place := (*at, key),
                (f"{key}: " if isinstance(value, dict) else "") + self._braces(item, indent + 2, place),
            )
            for key, item in pairs
        ]
        if not items and self._is_chosen(0.3):
            return f"{opening} {self._comment(at)}\n{' ' * indent}{closing}"
        if self._is_chosen(0.7) or not items:
            comma = "," if items and self._is_chosen(0.1) else ""
            return opening + ", ".join(text for _, text in items) + comma + closing
        lines = [opening]
        for number, (_, text) in enumerate(items):
            comma = "," if number < len(items) - 1 or self._is_chosen(0.3) else ""
            comment = f" {self._comment(at)}" if self._is_chosen(self._comments) else ""
            lines.append(" " * indent + text + comma + comment)
        return "\n".join([*lines, " " * indent + closing])

    def _scalar(self, text: str | None) -> str:
        if text is None:
            return self._rng.choice(["null", "~"])
        safe = write_yaml([text], is_flow=True)[1:-1]
        quoted = json.dumps(text) if text.isascii() and "${" not in text else safe
        return self._rng.choice([safe, safe, quoted])
