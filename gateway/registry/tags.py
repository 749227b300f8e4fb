"""What an instance's metadata says of its tag, in the conventions of the ecosystems that sidecars live beside.

The first key present decides, however its registry spells it. A value that cannot be read makes the instance INVALID, which
gets no traffic: treating it as baseline would let a mistyped gray instance serve everybody. So does a key that is there in two
spellings which say different things.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Final

from gateway.settings.registry import DEFAULT_TAG_KEYS
from gateway.tags import BASE, INVALID, is_tag

OWN_KEY: Final = "gray.tag"
"""The key that our sidecars write."""
CANARY: Final = "opensergo.io/canary"
"""MSE and OpenSergo: `opensergo.io/canary-gray: gray` marks a gray node, the bare key a baseline one."""
ENVIRONMENT: Final = "__micro.service.env__"
"""MSE's older form: a JSON list in a string, `[{"tag": "gray", …}]`."""


_SIGN = re.compile(r"[^0-9A-Za-z]")


@lru_cache(maxsize=4096)
def spelling(key: str) -> str:
    """A key with each sign as `_`: what all its spellings have in common.

    A key is spelled as its registry allows. In Consul `Meta` has letters, digits, `_` and `-` only, so that there
    `alicloud.service.tag` is `alicloud_service_tag` or `alicloud-service-tag`; and what was copied from one registry to
    another keeps its spelling.
    """
    return _SIGN.sub("_", key)


class TagReader:
    """Reads tags by a chain of keys, in any spelling.

    `bare` are words that are a tag by themselves, where a registry has a list of words (Consul's tags); a word `key=value`
    counts as metadata, behind the metadata proper.
    """

    def __init__(self, keys: Sequence[str] = DEFAULT_TAG_KEYS, bare: Sequence[str] = ()) -> None:
        self._readers = [_READERS.get(key, _read_value)(spelling(key)) for key in keys]
        self._bare = frozenset(bare)

    def tag_of(self, metadata: Mapping[str, str], words: Sequence[str] = ()) -> str:
        """The tag: BASE where nothing says one (or an empty one), INVALID where what it says is not a tag, or two."""
        if words:
            pairs = (word.partition("=") for word in words)
            metadata = {**{key: value for key, equals, value in pairs if equals}, **metadata}
        for read in self._readers:
            found = read(metadata)
            if found:
                return found.pop() if len(found) == 1 else INVALID
        return next((word for word in words if word in self._bare), BASE)


_Reader = Callable[[Mapping[str, str]], set[str]]
"""What one key of the chain says in some metadata: nothing if it is not there, several tags if it is there twice."""


def _read_value(wanted: str) -> _Reader:
    """The value is the tag."""

    def read(metadata: Mapping[str, str]) -> set[str]:
        return {_judge(value) for key, value in metadata.items() if spelling(key) == wanted}

    return read


def _read_canary(wanted: str) -> _Reader:
    """The value is the tag, or the key's end; the bare key means baseline."""

    def read(metadata: Mapping[str, str]) -> set[str]:
        marked = {
            _judge(value or key[len(wanted) + 1 :])
            for key, value in metadata.items()
            if spelling(key).startswith(f"{wanted}_")
        }
        return marked or {BASE for key in metadata if spelling(key) == wanted}

    return read


def _read_environment(wanted: str) -> _Reader:
    """The value is a list; its first entry has the tag."""

    def read(metadata: Mapping[str, str]) -> set[str]:
        return {_tag_of_environment(value) for key, value in metadata.items() if spelling(key) == wanted}

    return read


_READERS: Final[Mapping[str, Callable[[str], _Reader]]] = {CANARY: _read_canary, ENVIRONMENT: _read_environment}
"""How keys are read whose value is not the tag."""


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
