"""From what registries hold to instances: one record that cannot be one loses nobody but itself."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from ipaddress import IPv6Address
from typing import Any, Final

from gateway.instance import Instance
from gateway.printable import printable
from gateway.registry.base import MOST_LEFT_OUT, Listing
from gateway.registry.tags import TagReader

LONGEST_SHOWN: Final = 80
MIN_WEIGHT: Final = 1e-3
MAX_WEIGHT: Final = 1e6
"""A smaller weight above 0, or a larger one, counts as these."""


class Records:
    """Collects the records of one response."""

    def __init__(self, tags: TagReader) -> None:
        self._tags = tags
        self._found: dict[str, Instance] = {}
        self.skipped: dict[str, int] = {}
        self._left_out: dict[str, list[str]] = {}

    def add(
        self,
        host: Any,
        port: Any,
        weight: Any,
        metadata: Any,
        healthy: bool,
        enabled: bool,
        *,
        labels: Any = (),
        record_id: Any = None,
    ) -> None:
        """Adds a record as it came.

        `labels` are a list of words, where the registry has such, and `record_id` is what it calls the record.
        Of two records of one address the usable one is kept, else the later one.
        """
        name = record_id if isinstance(record_id, str) and record_id else f"{host}:{port}"
        reason = _unfit(host, port, weight, metadata, labels)
        if reason:
            self.skip(reason, name)
            return
        texts = {key: _text(value) for key, value in (metadata or {}).items() if value is not None}
        tag = self._tags.tag_of(texts, [label for label in labels or () if isinstance(label, str)])
        bounded = min(max(float(weight), MIN_WEIGHT), MAX_WEIGHT) if weight else 0.0
        instance = Instance(host, port, tag, bounded, healthy, enabled, texts)
        known = self._found.get(instance.address)
        if known is not None:
            self.skip("duplicate", name)
            if known.is_usable and not instance.is_usable:
                return
        self._found[instance.address] = instance

    def skip(self, reason: str, record: Any) -> None:
        """Counts a record that is not an instance; a text names it, anything else is what it is."""
        self.skipped[reason] = self.skipped.get(reason, 0) + 1
        named = self._left_out.setdefault(reason, [])
        if len(named) < MOST_LEFT_OUT:
            named.append(_shown(record))

    def listing(self, is_forced: bool = False) -> Listing:
        """Everything that was added, in canonical order."""
        ordered = tuple(self._found[address] for address in sorted(self._found))
        left_out = {reason: tuple(names) for reason, names in self._left_out.items()}
        return Listing(ordered, self.skipped, is_forced, left_out=left_out)


def _shown(record: Any) -> str:
    """What a record is called: short, and nothing in it that a terminal or a log would obey."""
    text = record if isinstance(record, str) else json.dumps(record)
    return printable(text)[:LONGEST_SHOWN]


def _is_host(text: str) -> bool:
    """Whether a text can be an address or a name to look up."""
    if not text or any(letter.isspace() or letter in "/@?#[]" for letter in text):
        return False
    if ":" in text:
        return _is_ipv6(text)
    try:
        text.encode("idna")  # as it is looked up: no label empty or longer than 63
    except UnicodeError:
        return False
    return True


def _is_ipv6(text: str) -> bool:
    """Whether a text is an IPv6 address."""
    try:
        IPv6Address(text)
    except ValueError:
        return False
    return True


def _text(value: Any) -> str:
    """A value of metadata as text: what is not text in JSON, as JSON has it. Nobody writes Python's `True`."""
    return value if isinstance(value, str) else json.dumps(value)


def _unfit(host: Any, port: Any, weight: Any, metadata: Any, labels: Any) -> str:
    """Why a record cannot be an instance; empty if it can."""
    if not isinstance(host, str) or not _is_host(host):
        return "bad_host"
    if not isinstance(port, int) or isinstance(port, bool) or not 0 < port < 65536:
        return "bad_port"
    if isinstance(weight, bool) or not isinstance(weight, int | float) or not 0 <= weight < math.inf:  # NaN is not
        return "bad_weight"
    if isinstance(weight, int) and weight.bit_length() > 1000:  # more than a float can hold
        return "bad_weight"
    if metadata is not None and not isinstance(metadata, Mapping):
        return "bad_metadata"
    if labels is not None and not isinstance(labels, list | tuple):
        return "bad_tags"
    return ""
