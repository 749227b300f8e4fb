"""From what registries hold to instances: one record that cannot be one loses nobody but itself."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from ipaddress import IPv6Address
from typing import Any, Final

from gateway.registry.base import Listing
from gateway.registry.tags import TagRules
from gateway.routing.instance import Instance

MIN_WEIGHT: Final = 1e-3
MAX_WEIGHT: Final = 1e6
"""A smaller weight above 0, or a larger one, counts as these."""


class Records:
    """Collects the records of one answer."""

    def __init__(self, tags: TagRules) -> None:
        self._tags = tags
        self._found: dict[str, Instance] = {}
        self.skipped: dict[str, int] = {}

    def add(
        self, host: Any, port: Any, weight: Any, metadata: Any, healthy: bool, enabled: bool, labels: Any = ()
    ) -> None:
        """Adds a record as it came; `labels` are a list of words, where the registry has such.

        Of two records of one address the usable one is kept, else the later one.
        """
        reason = _unfit(host, port, weight, metadata)
        if reason:
            self.skip(reason)
            return
        texts = {key: _text(value) for key, value in (metadata or {}).items() if value is not None}
        words = [label for label in labels if isinstance(label, str)] if isinstance(labels, list | tuple) else []
        tag = self._tags.tag_of(texts, words)
        bounded = min(max(float(weight), MIN_WEIGHT), MAX_WEIGHT) if weight else 0.0
        instance = Instance(host, port, tag, bounded, healthy, enabled, texts)
        known = self._found.get(instance.address)
        if known is not None:
            self.skip("duplicate")
            if known.is_usable and not instance.is_usable:
                return
        self._found[instance.address] = instance

    def skip(self, reason: str) -> None:
        """Counts a record that is no instance."""
        self.skipped[reason] = self.skipped.get(reason, 0) + 1

    def listing(self, is_forced: bool = False) -> Listing:
        """Everything that was added, in canonical order."""
        ordered = tuple(self._found[address] for address in sorted(self._found))
        return Listing(ordered, self.skipped, is_forced)


def _text(value: Any) -> str:
    """A metadata value as text: what is none is written as JSON has it, `true` and not `True`."""
    return value if isinstance(value, str) else json.dumps(value)


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


def _unfit(host: Any, port: Any, weight: Any, metadata: Any) -> str:
    """Why a record cannot be an instance; empty where it can."""
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
    return ""
