"""Regular expressions between systems: ours match the whole value, others look for a match somewhere in it.

A pattern that says no more than a plain operator is read back as that operator.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, Final

import re2

from gateway.rules.expressions import compile_pattern, enclosed

ANYTHING: Final = "(?s:.*)"
_META: Final = frozenset("\\.+*?()|[]{}^$")
_END: Final = re.compile(r"(?<!\\)(?:\\\\)*(\$|\\z)\Z")
_MULTILINE: Final = re.compile(r"\(\?[a-zA-Z]*m")
_BELOW: Final = f"(?:/{ANYTHING})?"


def is_pattern(text: str) -> bool:
    """Whether RE2 takes it."""
    try:
        compile_pattern(text)
    except (re2.error, UnicodeError):
        return False
    return True


def quote(text: str) -> str:
    """The pattern that matches exactly this text."""
    return "".join("\\" + letter if letter in _META else letter for letter in text)


def alternatives(texts: Iterable[str]) -> str:
    """The pattern that matches exactly these texts."""
    return "|".join(map(quote, texts))


def literal(pattern: str) -> str | None:
    """The one text that a pattern matches; None if it is more than a text."""
    letters = iter(pattern)
    found = []
    for letter in letters:
        if letter == "\\":
            letter = next(letters, "")
            # An escaped letter or digit is a class or a back-reference, not itself.
            if not letter or letter.isalnum() or letter == "_":
                return None
        elif letter in _META:
            return None
        found.append(letter)
    return "".join(found)


def simplified(pattern: str) -> dict[str, Any]:
    """A pattern for the whole value as the plainest operator that says the same, as a condition has it."""
    core = pattern.removeprefix(ANYTHING)
    is_open = core != pattern
    if is_open and not core:
        return {"exists": True}
    inner = core.removesuffix(ANYTHING)
    text = literal(inner)
    if text is not None:
        operator = ("equals", "prefix", "suffix", "contains")[2 * is_open + (inner != core)]
        return {operator: text}
    texts = [literal(part) for part in pattern.split("|")]
    if all(texts):
        return {"in": texts}
    return {"regex": pattern}


def trimmed(pattern: str) -> tuple[bool, str, bool]:
    """Whether a pattern is tied to the start, what it says without its anchors, whether it is tied to the end.

    Anchors that belong to one alternative, as in `^a|b$`, stay where they are: RE2 takes them inside a whole match.
    """
    if _MULTILINE.search(pattern) or "\\Q" in pattern:
        return False, pattern, False
    start = pattern.startswith("^")
    end = _END.search(pattern)
    body = pattern[start : end.start(1) if end else None]
    if _has_alternatives(body):
        return False, pattern, False
    if body.startswith("(?:") and body.endswith(")") and is_pattern(body[3:-1]) and is_pattern(body):
        body = body[3:-1]
    return start, body, end is not None


def whole(pattern: str) -> str:
    """A pattern that is looked for anywhere, as one that matches the whole value."""
    start, body, end = trimmed(pattern)
    if not (start and end) and literal(body) is None:
        body = enclosed(body)
    return ("" if start else ANYTHING) + body + ("" if end else ANYTHING)


def anchored(pattern: str) -> str:
    """A pattern for the whole value, as one that says the same to those who look for a match anywhere."""
    return f"^{enclosed(pattern)}\\z"


def subtrees(paths: Iterable[str]) -> str:
    """The pattern of a lane's `paths`: each with everything below it."""
    return f"(?:{alternatives(path.rstrip('/') for path in paths)}){_BELOW}"


def anchored_paths(paths: Iterable[str]) -> str:
    """The same for those who look for a match anywhere."""
    return f"^{subtrees(paths)}\\z"


def paths_of(pattern: str) -> list[str] | None:
    """The paths that `subtrees` made a pattern of; None if it did not."""
    if not (pattern.startswith("(?:") and pattern.endswith(")" + _BELOW)):
        return None
    texts = [literal(part) for part in pattern[3 : -len(_BELOW) - 1].split("|")]
    return None if None in texts else [text or "/" for text in texts]


def _has_alternatives(pattern: str) -> bool:
    """Whether a `|` is outside all groups and classes. True if that is hard to say."""
    if "\\Q" in pattern:
        return True
    depth = 0
    in_class = False
    letters = iter(pattern)
    for letter in letters:
        if letter == "\\":
            next(letters, "")
        elif in_class:
            in_class = letter != "]"
        elif letter == "[":
            in_class = True
            following = next(letters, "")
            # The first `]` of a class, also behind `^`, is one of its members.
            if following == "^":
                following = next(letters, "")
            if following == "\\":
                next(letters, "")
        elif letter == "|" and depth == 0:
            return True
        depth += {"(": 1, ")": -1}.get(letter, 0) if not in_class else 0
    return False
