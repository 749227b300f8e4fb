"""What a JSON pointer (RFC 6901) finds in parsed JSON, as the text that conditions compare."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

_LONE_SURROGATE: Final = re.compile("[\ud800-\udfff]")


def claim_pointer(name: str) -> str:
    """The pointer to a claim that a condition names: what begins with `/` is one, anything else is a key (RFC 6901 §3)."""
    return name if name[:1] == "/" else "/" + name.replace("~", "~0").replace("/", "~1")


def find_text(value: Any, pointer: str) -> str | None:
    r"""The text of what `pointer` finds, or None if there is nothing, or null.

    A number is as it is in the document, true and false are these words, a list of such is its items joined by `,`.
    Any other list, and an object, is there, but empty. For half a character (`"\ud800"`) there is U+FFFD.
    """
    for part in pointer.split("/")[1:]:
        key = part.replace("~1", "/").replace("~0", "~")
        if isinstance(value, Mapping):
            if key not in value:
                return None
            value = value[key]
        elif isinstance(value, list):
            if not key.isascii() or not key.isdigit() or (key != "0" and key[0] == "0") or int(key[:9]) >= len(value):
                return None
            value = value[int(key)]
        else:
            return None
    if value is None:
        return None
    if isinstance(value, list):
        texts = [_scalar(item) for item in value]
        return ",".join(text for text in texts if text is not None) if None not in texts else ""
    return _scalar(value) or ""


def _scalar(value: Any) -> str | None:
    if isinstance(value, str):
        return value if value.isascii() else _LONE_SURROGATE.sub("\N{REPLACEMENT CHARACTER}", value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)
    return None
