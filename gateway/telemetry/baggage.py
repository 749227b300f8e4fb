"""W3C Baggage (https://www.w3.org/TR/baggage/ §3): reading, removing and adding the one member that carries the tag.

Everybody else's members pass untouched, properties and all.
"""

from __future__ import annotations

from urllib.parse import unquote_to_bytes


def member(lines: list[bytes], name: bytes) -> bytes:
    """The value of the first member called `name`, percent-decoded, without its properties; empty where absent."""
    for line in lines:
        if name in line:
            for item in line.split(b","):
                key, equals, value = item.partition(b"=")
                if equals and key.strip(b" \t") == name:
                    return unquote_to_bytes(value.partition(b";")[0].strip(b" \t"))
    return b""


def without_member(lines: list[bytes], name: bytes) -> bytes:
    """All members of all lines but those called `name`, joined into one value; empty where none is left."""
    kept: list[bytes] = []
    for line in lines:
        if name not in line:
            if line:
                kept.append(line)
            continue
        for item in line.split(b","):
            item = item.strip(b" \t")
            if item and item.partition(b"=")[0].strip(b" \t") != name:
                kept.append(item)
    return b",".join(kept)
