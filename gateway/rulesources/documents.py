"""Documents that a registry keeps: a Nacos config (`nacos/document.py`), keys of Consul (`consul/documents.py`).

They are watched for changes, and written with a check that nobody else has written in the meantime.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Protocol


class ConflictError(Exception):
    """Somebody else has changed the document in the meantime."""


class RemoteDocument(Protocol):
    """A document on a server."""

    name: str
    """What it is called in logs."""

    def watch(self) -> AsyncGenerator[str | None, None]:
        """Yields the text as it is, then whenever it may have changed; None if there is no document.

        Raises RegistryError if the server does not respond; watching starts over then.
        """
        ...

    async def read(self) -> str | None:
        """The text as it is; None if there is no document. Raises RegistryError."""
        ...

    async def publish(self, text: str, before: str | None) -> None:
        """Writes the text, where the document still is `before`, and waits until it can be read.

        Raises ConflictError, and RegistryError.
        """
        ...

    async def close(self) -> None:
        """Closes the connections."""
        ...
