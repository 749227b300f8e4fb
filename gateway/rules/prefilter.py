"""Sieving rows by their patterns: which of a thousand regular expressions can match, for the price of about twenty.

Patterns stand in a binary tree, each node of which holds one that matches whatever a pattern below it matches. Most values
match none: then the root alone says so, in time linear in the value (RE2). A sieve only leaves out what cannot hold; the
rows that pass are still checked one by one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from gateway.rules.checks import MAX_PATTERN_VALUE
from gateway.rules.fields import Field

SIEVE_FROM: Final = 8
"""Rows with patterns on one field, still alive, from which on checking the sieve is cheaper than checking each."""


class Prefilter:
    """The patterns that rows want one field to match. `rows` are those rows."""

    __slots__ = ("field", "root", "rows")

    def __init__(self, field: Field, rows: int, root: PrefilterNode) -> None:
        self.field = field
        self.rows = rows
        self.root = root

    def narrow(self, alive: int, value: str | None) -> int:
        """The rows of `alive` whose patterns may match."""
        passed = 0
        if value is not None and len(value) <= MAX_PATTERN_VALUE:
            nodes = [self.root]
            while nodes:
                node = nodes.pop()
                if not node.rows & alive or (node.pattern is not None and node.pattern.fullmatch(value) is None):
                    continue
                if node.left is None or node.right is None:
                    passed |= node.rows
                else:
                    nodes.append(node.left)
                    nodes.append(node.right)
        return alive & (passed | ~self.rows)


class PrefilterNode:
    """`pattern` matches what any pattern of `rows` matches; None if that would be too large to ask."""

    __slots__ = ("left", "pattern", "right", "rows")

    def __init__(
        self, pattern: Any, rows: int, left: PrefilterNode | None = None, right: PrefilterNode | None = None
    ) -> None:
        self.pattern = pattern
        self.rows = rows
        self.left = left
        self.right = right


def build_prefilter(field: Field, leaves: Sequence[tuple[str, Any, int]], combine: Any) -> Prefilter:
    """A sieve of patterns: text, compiled, and the rows that want it. `combine` compiles a text, or returns None."""
    level = [(text, PrefilterNode(pattern, rows)) for text, pattern, rows in leaves]
    rows = 0
    for _, node in level:
        rows |= node.rows
    while len(level) > 1:
        above: list[tuple[str, PrefilterNode]] = []
        for at in range(0, len(level) - 1, 2):
            (left_text, left), (right_text, right) = level[at], level[at + 1]
            text = f"{left_text}|{right_text}"
            above.append((text, PrefilterNode(combine(text), left.rows | right.rows, left, right)))
        if len(level) % 2:
            above.append(level[-1])
        level = above
    return Prefilter(field, rows, level[0][1])
