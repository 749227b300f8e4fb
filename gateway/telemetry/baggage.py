"""W3C Baggage (https://www.w3.org/TR/baggage/ §3): reading, removing and adding the one member that carries the tag.

Everybody else's members pass untouched, properties and all.
"""

from __future__ import annotations

from collections.abc import Collection
from urllib.parse import unquote_to_bytes


def member(lines: list[bytes], name: bytes) -> str | None:
    """The value of the first member called `name`, without its properties, or None.

    The list is taken apart as it was sent and the value decoded once, after that: `%2C`, `%3B` and `%3D` are text (§3.3.1.3).
    Bytes that are not UTF-8 become U+FFFD. A member without `=` is none.
    """
    for line in lines:
        if name in line:
            for item in line.split(b","):
                key, equals, value = item.partition(b"=")
                if equals and key.strip(b" \t") == name:
                    value = value.partition(b";")[0].strip(b" \t")
                    return (unquote_to_bytes(value) if b"%" in value else value).decode("utf-8", "replace")
    return None


def without_members(lines: list[bytes], names: Collection[bytes]) -> bytes:
    """All members of all lines but those with one of the names, joined into one value; empty if none is left."""
    kept: list[bytes] = []
    for line in lines:
        for name in names:
            if name in line:
                break
        else:
            if line:
                kept.append(line)
            continue
        for item in line.split(b","):
            item = item.strip(b" \t")
            if item and item.partition(b"=")[0].strip(b" \t") not in names:
                kept.append(item)
    return b",".join(kept)
