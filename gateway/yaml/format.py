"""YAML text in one form: two columns a level, sequences indented, one space between things; comments, order and quotes stay."""

from __future__ import annotations

import re
from bisect import bisect_left
from typing import Final

from gateway.yaml.tree import BREAKS, Node, Tree, comments_of
from gateway.yaml.writing import WIDTH

STEP: Final = 2
"""Columns of a level."""
_BREAK: Final = re.compile(f"\r\n|[{BREAKS}]")
_SPACE: Final = re.compile(r"\s*")

Levels = tuple[tuple[int, int], ...]
"""Of collections inside one another: the column in which their members stood, and where they are now."""


class Unformattable(Exception):
    """The text is written in a way that is left alone; `at` is where."""

    def __init__(self, at: int, what: str) -> None:
        self.at = at
        super().__init__(what)


def reformatted(text: str) -> str:
    """A sound document in the one form. Raises Unformattable.

    It is not proved that nothing is lost: the caller compares.
    """
    return _Formatter(text).run()


class _Formatter:
    """Rewrites a tree, line by line, with the comments and blank lines between its parts."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._tree = Tree(text)
        self._headers = dict(self._tree.headers)
        self._starts = [start for start, _ in self._tree.headers]
        self._comments = [at for at, _ in comments_of(text)]
        self._lines: list[str] = []
        self._line = ""
        self._levels: Levels = ()
        """Of what is open."""
        self._last_levels: Levels = ()
        """Of the last value."""

    def run(self) -> str:
        root = self._tree.root
        first = self._tree.first(root) if root.is_block else root.start
        *above, begun = _BREAK.split(self._text[:first])
        if begun.strip():
            raise Unformattable(first, "the first value is on the line of the document's marker")
        self._lines = [line.strip() for line in above]
        if root.is_block:
            self._block(root, 0)
        else:
            self._inline(root, -STEP)
        self._gap(root.end, len(self._text), 0)
        self._new_line(0)
        return "\n".join(line.rstrip(" \t") for line in self._lines).strip("\n") + "\n"

    def _block(self, node: Node, column: int) -> None:
        """The members of a collection: the first on the line that is begun, the others on their own lines."""
        keys = [key for key, _ in node.pairs()] if node.kind == "map" else []
        values = node.members[1::2] if keys else node.members
        starts = [self._tree.mark(key) for key in keys] or [self._tree.dash(item) for item in values]
        outside, self._levels = self._levels, (*self._levels, (self._column(starts[0]), column))
        for number, (start, value) in enumerate(zip(starts, values, strict=True)):
            if number:
                self._gap(values[number - 1].end, start, column)
                self._new_line(column)
            self._line += f"{self._key(keys[number])}:" if keys else "-"
            self._value(value, self._colon(keys[number]) + 1 if keys else start + 1, column, is_item=not keys)
        self._levels = outside

    def _value(self, node: Node, behind: int, column: int, is_item: bool) -> None:
        """What is behind a colon or a dash in this column."""
        inner = column + STEP
        self._last_levels = self._levels
        if not node.is_block:
            if node.start < node.end:
                if self._has_comment(behind, node.start):
                    self._gap(behind, node.start, inner)
                    self._new_line(inner)
                else:
                    self._line += " "
                self._inline(node, column)
            self._last_levels = self._levels
            return
        first = self._tree.first(node)
        headers = self._headers_of(node)
        for start in headers:
            self._line += f" {self._text[start : self._headers[start]]}"
            behind = self._headers[start]
        if is_item and not headers and not self._has_comment(behind, first):
            self._line += " "
        else:
            self._gap(behind, first, inner)
            self._new_line(inner)
        self._block(node, inner)

    def _inline(self, node: Node, column: int) -> None:
        """What is not a collection on its own lines; `column` is that of its key or dash."""
        if node.kind in ("list", "map"):
            self._flow(node, column + STEP)
            return
        self._line += self._shown_headers(node)
        start = self._content(node)
        first, *rest = _BREAK.split(self._text[start : node.end])
        self._line += first
        margin = 0
        if first[:1] in ("|", ">"):
            if re.search("[1-9]", first.partition("#")[0]):
                raise Unformattable(start, "a block text states its own indentation")
            margin = next((len(line) - len(line.lstrip(" ")) for line in rest if line.strip()), 0)
        for line in rest:
            shown = line[margin:] if margin else line.strip()
            self._new_line(column + STEP if shown else 0, shown)

    def _flow(self, node: Node, column: int) -> None:
        """A collection in braces: on this line where it fits, else an item a line, and what closes it in this column."""
        line = self._one_line(node)
        if line is not None and len(self._line) + len(line) <= WIDTH:
            self._line += line
            return
        pairs = node.pairs() if node.kind == "map" else [(None, item) for item in node.members]
        is_filled = line is not None and all(key is None and value.kind in ("text", "alias") for key, value in pairs)
        self._line += self._shown_headers(node) + ("{" if node.kind == "map" else "[")
        behind = self._content(node) + 1
        self._last_levels = ()
        for number, (key, value) in enumerate(pairs):
            self._gap(behind, value.start if key is None else self._tree.mark(key), column + STEP)
            if is_filled and number and len(self._line) + value.end - value.start < WIDTH:
                self._line += " "
            else:
                self._new_line(column + STEP)
            self._line += "" if key is None else self._pair_head(key, value)
            if value.start < value.end:
                self._inline(value, column)
            self._line += "," if number < len(pairs) - 1 else ""
            behind = value.end
        self._gap(behind, node.end - 1, column + STEP)
        self._new_line(column, "}" if node.kind == "map" else "]")

    def _one_line(self, node: Node) -> str | None:
        """A value in one line; None if a comment is in it, or a text of several lines."""
        if self._has_comment(node.start, node.end):
            return None
        if node.kind in ("text", "alias"):
            text = self._text[node.start : node.end]
            return None if _BREAK.search(text) else text
        items = [self._one_line(value) for value in (node.members[1::2] if node.kind == "map" else node.members)]
        if None in items:
            return None
        heads = (
            [self._pair_head(key, value) for key, value in node.pairs()] if node.kind == "map" else [""] * len(items)
        )
        inside = ", ".join(f"{head}{item}" for head, item in zip(heads, items, strict=True))
        return self._shown_headers(node) + ("{%s}" if node.kind == "map" else "[%s]") % inside

    def _key(self, key: Node) -> str:
        text = self._text[key.start : key.end]
        if self._tree.mark(key) != key.start or _BREAK.search(text):
            raise Unformattable(key.start, "a key is not a plain word")
        return text

    def _pair_head(self, key: Node, value: Node) -> str:
        """A key inside braces, with its colon where it has one."""
        colon = self._colon(key)
        return self._key(key) + (": " if key.end <= colon <= max(value.start, key.end) else "")

    def _colon(self, key: Node) -> int:
        """Where the next colon behind a key is; -1 if there is none."""
        index = bisect_left(self._starts, key.end)
        return self._starts[index] if index < len(self._starts) and self._text[self._starts[index]] == ":" else -1

    def _headers_of(self, node: Node) -> list[int]:
        """Where the anchor and the tag of a value begin."""
        found: list[int] = []
        at = node.start
        while at in self._headers and self._text[at] in "&!":
            found.append(at)
            at = self._next(self._headers[at])
        return found

    def _shown_headers(self, node: Node) -> str:
        return "".join(f"{self._text[start : self._headers[start]]} " for start in self._headers_of(node))

    def _content(self, node: Node) -> int:
        """Where a value begins behind its anchor and its tag."""
        headers = self._headers_of(node)
        return self._next(self._headers[headers[-1]]) if headers else node.start

    def _next(self, at: int) -> int:
        found = _SPACE.match(self._text, at)
        return at if found is None else found.end()

    def _gap(self, start: int, end: int, column: int) -> None:
        """Writes the comments and blank lines between two places; what comes next is in this column."""
        breaks = [(found.start(), found.end()) for found in _BREAK.finditer(self._text, start, end)]
        next_column = 0 if end == len(self._text) else self._column(end)
        begins, stops = [start, *(after for _, after in breaks)], [*(before for before, _ in breaks), end]
        for number, (at, stop) in enumerate(zip(begins, stops, strict=True)):
            index = bisect_left(self._comments, at)
            comment = self._comments[index] if index < len(self._comments) and self._comments[index] < stop else -1
            if comment >= 0 and number == 0:
                # In its column, where that is free: comments are lined up by hand.
                self._line += " " * max(1, self._column(comment) - len(self._line)) + self._text[comment:stop]
            elif comment >= 0:
                self._new_line(self._column_now(comment - at, next_column, column), self._text[comment:stop])
            elif number and (number < len(breaks) or self._text[at:stop].strip()):
                # A blank line, or the marker at the end of the document.
                self._new_line(0, self._text[at:stop].strip(" \t,"))

    def _column_now(self, column: int, next_column: int, next_now: int) -> int:
        """Where a comment goes that stood in a column: with the collection in whose column it was, or to the right of it."""
        levels = [(next_column, next_now), *reversed(self._last_levels)]
        fitting = [level for level in levels if level[0] <= column] or [min(levels)]
        most = max(stood for stood, _ in fitting)
        return next(now for stood, now in fitting if stood == most)

    def _has_comment(self, start: int, end: int) -> bool:
        index = bisect_left(self._comments, start)
        return index < len(self._comments) and self._comments[index] < end

    def _column(self, at: int) -> int:
        return at - (max(self._text.rfind(letter, 0, at) for letter in BREAKS) + 1)

    def _new_line(self, column: int, text: str = "") -> None:
        self._lines.append(self._line)
        self._line = " " * column + text
