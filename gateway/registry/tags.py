"""What an instance's metadata says of its tag, in the conventions of the ecosystems that sidecars live beside.

The first key present decides. A value that cannot be read makes the instance INVALID, which gets no traffic: treating it
as baseline would let a mistyped gray instance serve everybody.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Final

from gateway.routing.instance import BASE, INVALID, is_tag

OWN_KEY: Final = "gray.tag"
"""The key that our sidecars write."""

_CANARY: Final = "opensergo.io/canary"
_ENVIRONMENT: Final = "__micro.service.env__"
_PLAIN_KEYS: Final = ("dubbo.tag", OWN_KEY, "lane", "tag")


def tag_of(metadata: Mapping[str, str]) -> str:
    """The tag: BASE where no key says one (or an empty one), INVALID where what it says is no tag."""
    if "alicloud.service.tag" in metadata:
        return _judge(metadata["alicloud.service.tag"])
    for key, value in metadata.items():
        # MSE: `opensergo.io/canary-gray: gray` marks a gray node, the bare key a baseline one.
        if key.startswith(_CANARY + "-"):
            return _judge(value or key[len(_CANARY) + 1 :])
    if _CANARY in metadata:
        return BASE
    if _ENVIRONMENT in metadata:
        return _tag_of_environment(metadata[_ENVIRONMENT])
    for key in _PLAIN_KEYS:
        if key in metadata:
            return _judge(metadata[key])
    return BASE


def _judge(value: str) -> str:
    value = value.strip()
    if not value:
        return BASE
    return value if is_tag(value) else INVALID


def _tag_of_environment(text: str) -> str:
    """MSE's older form: a JSON list in a string, `[{"tag": "gray", …}]`."""
    try:
        entries = json.loads(text)
    except ValueError:
        return INVALID
    if not isinstance(entries, list):
        return INVALID
    if not entries:
        return BASE
    tag = entries[0].get("tag", "") if isinstance(entries[0], dict) else None
    return _judge(tag) if isinstance(tag, str) else INVALID
