"""What an instance's metadata says of its tag, in the conventions of the ecosystems that sidecars live beside.

The first key present decides. A value that cannot be read makes the instance INVALID, which gets no traffic: treating it
as baseline would let a mistyped gray instance serve everybody.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Final

from gateway.routing.instance import BASE, INVALID, is_tag
from gateway.settings.registry import DEFAULT_TAG_KEYS

OWN_KEY: Final = "gray.tag"
"""The key that our sidecars write."""
CANARY: Final = "opensergo.io/canary"
"""MSE and OpenSergo: `opensergo.io/canary-gray: gray` marks a gray node, the bare key a baseline one."""
ENVIRONMENT: Final = "__micro.service.env__"
"""MSE's older form: a JSON list in a string, `[{"tag": "gray", …}]`."""


class TagRules:
    """Reads tags by a chain of keys.

    `bare` are words that are a tag by themselves, where a registry has a list of words (Consul's tags); a word `key=value`
    counts as metadata, behind the metadata proper.
    """

    def __init__(self, keys: Sequence[str] = DEFAULT_TAG_KEYS, bare: Sequence[str] = ()) -> None:
        self._keys = tuple(keys)
        self._bare = frozenset(bare)

    def tag_of(self, metadata: Mapping[str, str], words: Sequence[str] = ()) -> str:
        """The tag: BASE where nothing says one (or an empty one), INVALID where what it says is no tag."""
        if words:
            pairs = (word.partition("=") for word in words)
            metadata = {**{key: value for key, equals, value in pairs if equals}, **metadata}
        for key in self._keys:
            found = _read(key, metadata)
            if found is not None:
                return found
        return next((word for word in words if word in self._bare), BASE)


def _read(key: str, metadata: Mapping[str, str]) -> str | None:
    """What one key of the chain says; None where it is not there."""
    if key == CANARY:
        for name, value in metadata.items():
            if name.startswith(CANARY + "-"):
                return _judge(value or name[len(CANARY) + 1 :])
        return BASE if CANARY in metadata else None
    if key not in metadata:
        return None
    return _tag_of_environment(metadata[key]) if key == ENVIRONMENT else _judge(metadata[key])


def _judge(value: str) -> str:
    value = value.strip()
    if not value:
        return BASE
    return value if is_tag(value) else INVALID


def _tag_of_environment(text: str) -> str:
    try:
        entries = json.loads(text)
    except (ValueError, RecursionError):
        return INVALID
    if not isinstance(entries, list):
        return INVALID
    if not entries:
        return BASE
    tag = entries[0].get("tag", "") if isinstance(entries[0], dict) else None
    return _judge(tag) if isinstance(tag, str) else INVALID
