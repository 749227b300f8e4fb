"""The embedded registry as a kind of registry."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.registry.base import Kind, RegistryAdapter
from gateway.settings import EmbeddedRegistrySettings

if TYPE_CHECKING:
    from gateway.registry.embedded.server import EmbeddedRegistry


class EmbeddedKind(Kind[EmbeddedRegistrySettings]):
    """The registry in this process."""

    summary = "the program's own registry, in the same process; Nacos-compatible"

    def adapter(self, settings: EmbeddedRegistrySettings, embedded: EmbeddedRegistry | None) -> RegistryAdapter:
        """See Kind."""
        from gateway.registry.embedded.adapter import EmbeddedAdapter
        from gateway.registry.tags import TagReader

        assert embedded is not None
        return EmbeddedAdapter(embedded, TagReader())
