"""YAML text as a tree of places: which characters each value takes, comments and all that is between them left out."""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

import yaml

from gateway.yaml.reading import LOADER, NULLS, Location

BREAKS: Final = "\n\r\x85\u2028\u2029"
"""What ends a line in YAML 1.1, which libyaml reads."""
_COMMENT: Final = re.compile(f"#[^{BREAKS}]*")
_HEADER_COMMENT: Final = re.compile(f"[|>][^{BREAKS}#]*(#[^{BREAKS}]*)")


@dataclass(slots=True)
class Node:
    """A value, or a key. `start` is that of its anchor or tag where it has one, `end` is behind its last character.

    `members` are the items of a list; of a mapping, keys and values in turn. `target` is what an alias refers to.
    """

    kind: Literal["alias", "text", "list", "map"]
    start: int
    end: int
    value: str | None = None
    """Of a text; None for what is nothing."""
    is_flow: bool = False
    anchor: str | None = None
    members: list[Node] = field(default_factory=list)
    target: Node | None = None

    @property
    def is_block(self) -> bool:
        """Whether it is a list or a mapping on its own lines."""
        return self.kind in ("list", "map") and not self.is_flow

    def spread(self) -> Iterator[Node]:
        """The node, and every one in it."""
        yield self
        for member in self.members:
            yield from member.spread()

    def pairs(self) -> list[tuple[Node, Node]]:
        """The keys and values of a mapping."""
        return list(zip(self.members[::2], self.members[1::2], strict=True))

    def child(self, part: str | int) -> Node | None:
        """The value of a key, or the item of a list; None if there is none."""
        if isinstance(part, int):
            return self.members[part]
        return next((value for key, value in self.pairs() if key.value == part), None)

    def data(self) -> Any:
        """What it says, with variables as they are written."""
        if self.kind == "list":
            return [member.data() for member in self.members]
        if self.kind == "map":
            return {key.value: value.data() for key, value in self.pairs()}
        return self.value if self.target is None else self.target.data()


class Tree:
    """The tree of a text that is one sound YAML document, not an empty one.

    `dashes` and `commas` are where those are; `headers` the spans of anchors, tags and the colons behind keys; `marks`
    where keys begin.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        self.dashes: list[int] = []
        self.commas: list[int] = []
        self.headers: list[tuple[int, int]] = []
        self.marks: list[int] = []
        for token in _tokens(text):
            start, end = token.start_mark.index, token.end_mark.index
            if isinstance(token, yaml.BlockEntryToken):
                self.dashes.append(start)
            elif isinstance(token, yaml.FlowEntryToken):
                self.commas.append(start)
            elif isinstance(token, yaml.KeyToken):
                self.marks.append(start)
            elif isinstance(token, yaml.AnchorToken | yaml.TagToken | yaml.ValueToken):
                self.headers.append((start, end))
        self._anchors: dict[str, Node] = {}
        self._events = iter(yaml.parse(text, Loader=LOADER))
        self.root = self._node(next(event for event in self._events if isinstance(event, yaml.NodeEvent)))

    def path(self, location: Location) -> list[Node]:
        """The nodes from the root down to a location, or to the last one on the way that is not an alias and is there."""
        found = [self.root]
        for part in location:
            inner = None if found[-1].kind == "alias" else found[-1].child(part)
            if inner is None:
                break
            found.append(inner)
        return found

    def dash(self, item: Node) -> int:
        """Where the dash before an item of a list is."""
        return self.dashes[bisect_left(self.dashes, item.start) - 1]

    def mark(self, key: Node) -> int:
        """Where a key begins, with the question mark that one may have."""
        return self.marks[bisect_right(self.marks, key.start) - 1]

    def first(self, node: Node) -> int:
        """Where the first member of a list or mapping on its own lines begins, behind its anchor and its tag."""
        return self.dash(node.members[0]) if node.kind == "list" else self.mark(node.members[0])

    def aliases(self, node: Node) -> list[Node]:
        """The aliases that refer to a node, in order."""
        return [other for other in self.root.spread() if other.target is node]

    def _node(self, event: Any) -> Node:
        start, end = event.start_mark.index, event.end_mark.index
        if isinstance(event, yaml.AliasEvent):
            return Node("alias", start, end, target=self._anchors.get(str(event.anchor)))
        if isinstance(event, yaml.ScalarEvent):
            # A text of several lines has its last line break, and all after that, for its own.
            end = start + len(self.text[start:end].rstrip(" \t" + BREAKS))
            value = None if not event.style and event.value in NULLS else str(event.value)
            node = Node("text", start, end, value, anchor=event.anchor)
        else:
            kind: Literal["list", "map"] = "list" if isinstance(event, yaml.SequenceStartEvent) else "map"
            node = Node(kind, start, end, is_flow=bool(event.flow_style), anchor=event.anchor)
        if event.anchor is not None:
            self._anchors[event.anchor] = node
        if node.kind != "text":
            for inner in self._events:
                if isinstance(inner, yaml.CollectionEndEvent):
                    # On lines of its own a collection ends, to the parser, where the next thing begins.
                    node.end = inner.end_mark.index if node.is_flow else node.members[-1].end  # type: ignore[union-attr]
                    break
                node.members.append(self._node(inner))
        return node


def comments_of(text: str) -> list[tuple[int, str]]:
    """Every comment, from its `#` to the end of its line, and where it begins. Raises yaml.YAMLError for what is not YAML."""
    found: list[tuple[int, str]] = []
    behind = 0
    for token in _tokens(text):
        start, end = token.start_mark.index, token.end_mark.index
        found += [(match.start(), match[0].rstrip()) for match in _COMMENT.finditer(text, behind, start)]
        header = _HEADER_COMMENT.match(text, start, end) if isinstance(token, yaml.ScalarToken) else None
        if header is not None:
            found.append((header.start(1), header[1].rstrip()))
        behind = max(behind, end)
    return found


def _tokens(text: str) -> Sequence[Any]:
    return list(yaml.scan(text, Loader=LOADER))
