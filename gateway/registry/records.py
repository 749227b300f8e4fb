"""From what registries hold to instances: one record that cannot be one loses nobody but itself."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final

from gateway.registry.base import Listing
from gateway.registry.tags import TagRules
from gateway.routing.instance import Instance

MAX_WEIGHT: Final = 1e6
"""A larger weight counts as this one."""


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
        texts = {str(key): str(value) for key, value in (metadata or {}).items() if value is not None}
        words = [str(label) for label in labels] if isinstance(labels, list | tuple) else []
        tag = self._tags.tag_of(texts, words)
        instance = Instance(host, port, tag, min(float(weight), MAX_WEIGHT), healthy, enabled, texts)
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


def _unfit(host: Any, port: Any, weight: Any, metadata: Any) -> str:
    """Why a record cannot be an instance; empty where it can."""
    if not isinstance(host, str) or not host or any(letter.isspace() or letter in "/@?#" for letter in host):
        return "bad_host"
    if not isinstance(port, int) or isinstance(port, bool) or not 0 < port < 65536:
        return "bad_port"
    if isinstance(weight, bool) or not isinstance(weight, int | float) or not math.isfinite(weight) or weight < 0:
        return "bad_weight"
    if metadata is not None and not isinstance(metadata, Mapping):
        return "bad_metadata"
    return ""
