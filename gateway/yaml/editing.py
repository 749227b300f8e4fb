"""Changes of YAML text: a value is put, added or taken away, and every other character of the file stays as it is.

What is taken away goes with the lines that it is on; every other comment survives. What is put is written in the manner
of its place: in braces where braces are, on its own lines where those are, with the line ends of the file.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from operator import itemgetter
from typing import Any, Final

from gateway.errors import ConfigError, GatewayError
from gateway.yaml.reading import Location, dotted, parse_verbatim
from gateway.yaml.tree import BREAKS, Node, Tree
from gateway.yaml.writing import OneLine, write_yaml

_BREAK: Final = re.compile(f"\r\n|[{BREAKS}]")
_COMMENT_LINE: Final = re.compile(r"([ \t]*)#")
_COMMA: Final = re.compile(r"\s*,?\s*")
_INDENT: Final = 2
"""Columns by which a list is to the right of its key, where there is none yet to go by."""

Splice = tuple[int, int, str]
"""The characters from the first to before the second are replaced by a text."""


class NotEditable(GatewayError):
    """The text is written in a way in which the change cannot be made without changing something else."""


def put_keys(text: str, location: Location, values: Mapping[str, Any], gone: Collection[str] = ()) -> str:
    """The text with these values in the mapping at a location, and without the keys that are to be `gone`.

    Raises NotEditable, and ValueError for a value that YAML cannot say.
    """
    tree = Tree(text)
    edited = text
    for key in (*gone, *values):
        place = _Place(_owned(tree if edited is text else Tree(edited), location, key), location)
        edited = place.with_key(key, values[key]) if key in values else place.without_key(key)

    def change(data: Any) -> None:
        for key in gone:
            data.pop(key, None)
        data.update({key: _as_read(value) for key, value in values.items()})

    return _proved(tree.root.data(), edited, location, change)


def append_item(text: str, location: Location, item: Any) -> str:
    """The text with one more item in the list at a location, where none need be yet. Raises as `put_keys`."""
    inside, key = location[:-1], str(location[-1])
    tree = Tree(text)
    edited = _Place(_owned(tree, location), inside).with_item(key, item)

    def change(data: Any) -> None:
        data[key] = [*(data.get(key) or []), _as_read(item)]

    return _proved(tree.root.data(), edited, inside, change)


def delete_item(text: str, location: Location) -> str:
    """The text without an item of a list. Raises NotEditable."""
    inside, index = location[:-1], int(location[-1])
    tree = Tree(text)
    edited = _Place(_owned(tree, inside, index), inside).without_item(index)
    return _proved(tree.root.data(), edited, inside, lambda data: data.pop(index))


class _Place:
    """The mapping or the list at a location. Every method returns the text with one thing changed."""

    def __init__(self, tree: Tree, location: Location) -> None:
        self._text = tree.text
        self._tree = tree
        self._location = location
        path = self._tree.path(location)
        if len(path) != len(location) + 1:
            raise self._refused()
        self._node = path[-1]
        ends = _BREAK.search(tree.text)
        self._line_break = ends[0] if ends is not None and ends[0] in ("\r\n", "\r") else "\n"

    def with_key(self, key: str, value: Any) -> str:
        pair = self._pair(key)
        if pair is None:
            return self._with_new_key(key, value)
        name, found = pair
        if found.is_block:
            first = self._tree.first(found)
            if self._is_first_on_line(first):
                if _is_block(value):
                    column = self._column(first)
                    deeper = (
                        0 if isinstance(value, list) else max(0, self._column(self._tree.mark(name)) + _INDENT - column)
                    )
                    return self._with((first, found.end, " " * deeper + self._lines(value, column + deeper)))
                behind = self._behind_headers(name.end, first)
                return self._with((behind, behind, f" {_braced(value)}"), self._line_cut(first, found.end))
        space = " " if found.start == found.end else ""
        return self._with((found.start, found.end, space + _braced(value)))

    def _with_new_key(self, key: str, value: Any) -> str:
        node = self._node
        if node.is_block:
            column = self._column(self._tree.first(node))
            at = self._line_end(node.end)
            return self._with((at, at, self._line_break + " " * column + self._lines({key: value}, column)))
        at, comma = (node.members[-1].end, ", ") if node.members else (node.end - 1, "")
        return self._with((at, at, comma + _braced({key: value})[1:-1]))

    def without_key(self, key: str) -> str:
        node = self._node
        pairs = node.pairs()
        index = next((index for index, (name, _) in enumerate(pairs) if name.value == key), None)
        if index is None:
            return self._text
        spans = [(self._tree.mark(name), value.end) for name, value in pairs]
        if node.is_flow:
            return self._with(*self._flow_cut(spans, index))
        if len(pairs) == 1:
            return self._with((*spans[0], "{}"))
        return self._with(self._block_cut(spans, index))

    def with_item(self, key: str, item: Any) -> str:
        pair = self._pair(key)
        if pair is None:
            return self._with_new_key(key, [item])
        name, found = pair
        if found.kind == "list" and found.members:
            return self._with(*(self._flow_item(found, item) if found.is_flow else [self._block_item(found, item)]))
        if found.is_flow and (self._node.is_flow or _BREAK.search(self._text, found.start, found.end)):
            return self._with((found.end - 1, found.end - 1, _braced(item)))
        if self._node.is_flow or found.kind == "map":
            return self.with_key(key, [item])
        column = self._column(self._tree.mark(name)) + _INDENT
        at = self._line_end(found.end)
        lines = self._line_break + " " * column + self._lines([item], column)
        return self._with((self._behind_headers(name.end, found.start), found.end, ""), (at, at, lines))

    def without_item(self, index: int) -> str:
        node = self._node
        spans = [(self._tree.dash(member) if node.is_block else member.start, member.end) for member in node.members]
        if node.is_flow:
            return self._with(*self._flow_cut(spans, index))
        if len(spans) > 1:
            return self._with(self._block_cut(spans, index))
        first, end = spans[0]
        if not self._is_first_on_line(first):
            raise self._refused()
        behind = self._behind_headers(0, first)
        return self._with((behind, behind, " []"), (self._line_start(first), self._next_line(end), ""))

    def _block_item(self, found: Node, item: Any) -> Splice:
        """One more item behind the last, and behind the comments that stand to the right of its dash."""
        column = self._column(self._tree.dash(found.members[0]))
        at = self._line_end(found.members[-1].end)
        while at < len(self._text):
            comment = _COMMENT_LINE.match(self._text, self._next_line(at))
            if comment is None or len(comment[1]) <= column:
                break
            at = self._line_end(comment.start())
        return at, at, self._line_break + " " * column + self._lines([item], column)

    def _flow_item(self, found: Node, item: Any) -> list[Splice]:
        """One more item behind the last; on its own line where that has one."""
        last = found.members[-1]
        comma = next((comma for comma in self._tree.commas if last.end <= comma < found.end), None)
        behind = last.end if comma is None else comma + 1
        at = self._line_end(behind)
        if not self._is_first_on_line(last.start) or at >= found.end:
            return [(last.end, last.end, f", {_braced(item)}")]
        line = self._line_break + self._text[self._line_start(last.start) : last.start] + _braced(item)
        return [(last.end, last.end, ","), (at, at, line)] if comma is None else [(at, at, line + ",")]

    def _block_cut(self, spans: Sequence[tuple[int, int]], index: int) -> Splice:
        start, end = spans[index]
        if self._is_first_on_line(start):
            return self._line_start(start), self._next_line(end), ""
        # The first of its collection, behind a dash: the next one moves up to it.
        following = spans[index + 1][0]
        return start, following if not self._text[end:following].strip() else end, ""

    def _line_cut(self, start: int, end: int) -> Splice:
        """Whole lines, but for a comment behind what goes."""
        is_bare = not self._text[end : self._line_end(end)].strip()
        return (self._line_start(start), self._next_line(end), "") if is_bare else (start, end, "")

    def _flow_cut(self, spans: Sequence[tuple[int, int]], index: int) -> list[Splice]:
        """An item and its comma, and the space around it where no comment is there."""
        start, end = spans[index]
        if index + 1 < len(spans) and _COMMA.fullmatch(self._text, end, spans[index + 1][0]):
            return [(start, spans[index + 1][0], "")]
        if index and _COMMA.fullmatch(self._text, spans[index - 1][1], start):
            return [(spans[index - 1][1], end, "")]
        behind = [comma for comma in self._tree.commas if end <= comma < self._node.end]
        before = [comma for comma in self._tree.commas if self._node.start < comma < start]
        commas = behind[:1] or (before[-1:] if index else [])
        return [(start, end, ""), *((comma, comma + 1, "") for comma in commas)]

    def _pair(self, key: str) -> tuple[Node, Node] | None:
        return next(((name, value) for name, value in self._node.pairs() if name.value == key), None)

    def _behind_headers(self, start: int, end: int) -> int:
        """Behind the last colon, anchor or tag between two places."""
        found = [stop for begin, stop in self._tree.headers if start <= begin and stop <= end]
        if not found:
            raise self._refused()
        return found[-1]

    def _lines(self, value: Any, column: int) -> str:
        """A value on its own lines, but for the indentation of the first."""
        return (self._line_break + " " * column).join(write_yaml(value).removesuffix("\n").split("\n"))

    def _is_first_on_line(self, at: int) -> bool:
        return not self._text[self._line_start(at) : at].strip(" \t")

    def _column(self, at: int) -> int:
        return at - self._line_start(at)

    def _line_start(self, at: int) -> int:
        return max(self._text.rfind(letter, 0, at) for letter in BREAKS) + 1

    def _line_end(self, at: int) -> int:
        found = _BREAK.search(self._text, at)
        return len(self._text) if found is None else found.start()

    def _next_line(self, at: int) -> int:
        found = _BREAK.search(self._text, at)
        return len(self._text) if found is None else found.end()

    def _with(self, *splices: Splice) -> str:
        return _spliced(self._text, splices)

    def _refused(self) -> NotEditable:
        return _refusal(self._location)


def _owned(tree: Tree, location: Location, part: str | int | None = None) -> Tree:
    """The tree with the value at a location standing there itself, and with nothing elsewhere that refers to what changes.

    `part` is the key or item that goes, or is replaced. An alias on the way is written out. Where an alias elsewhere refers
    to something on the way, or in the part, the first such alias becomes the anchor.
    """
    while True:
        path = tree.path(location)
        last = path[-1]
        if last.kind == "alias":
            splices = [(last.start, last.end, _braced(last.data(), has_variables=False))]
        else:
            is_there = len(path) == len(location) + 1
            going = last.child(part) if part is not None and is_there else None
            inside = [] if going is None else list(going.spread())
            splices = next((move for node in [*path, *inside] if (move := _moved_anchor(tree, node, inside))), [])
        if not splices:
            return tree
        tree = Tree(_spliced(tree.text, splices))


def _moved_anchor(tree: Tree, node: Node, going: Sequence[Node]) -> list[Splice]:
    """Has the first alias to a node, but for those that go, become its anchor; nothing if there is none."""
    if node.anchor is None:
        return []
    alias = next((alias for alias in tree.aliases(node) if not any(alias is other for other in going)), None)
    if alias is None:
        return []
    text = tree.text
    anchor = f"&{node.anchor}"
    start, end = next(span for span in tree.headers if span[0] >= node.start and text[span[0] : span[1]] == anchor)
    start -= text[start - 1 : start] == " "
    return [(start, end, ""), (alias.start, alias.end, f"{anchor} {_braced(node.data(), has_variables=False)}")]


def _is_block(value: Any) -> bool:
    """Whether it is written on its own lines."""
    return bool(value) and isinstance(value, dict | list) and not isinstance(value, OneLine)


def _braced(value: Any, has_variables: bool = True) -> str:
    """A value in one line, that fits inside braces."""
    return write_yaml([value], has_variables=has_variables, is_flow=True)[1:-1]


def _as_read(value: Any) -> Any:
    return parse_verbatim(write_yaml(value), "").data


def _spliced(text: str, splices: Sequence[Splice]) -> str:
    parts: list[str] = []
    at = 0
    for start, end, new in sorted(splices, key=itemgetter(0)):
        parts += [text[at:start], new]
        at = end
    return "".join([*parts, text[at:]])


def _proved(said: Any, edited: str, location: Location, change: Callable[[Any], object]) -> str:
    """The edited text, if it says what was `said` before but for the change. Raises NotEditable."""
    place = said
    for part in location:
        place = place[part]
    change(place)
    try:
        found = parse_verbatim(edited, "").data
    except ConfigError as error:
        raise _refusal(location) from error
    if found != said:
        raise _refusal(location)
    return edited


def _refusal(location: Location) -> NotEditable:
    return NotEditable(
        f"{dotted(location)}: the file is written in a way that cannot be changed here; change it by hand"
    )
