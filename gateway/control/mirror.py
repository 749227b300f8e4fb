"""Copies of remote rules: each document is kept as a file, and everything else works with files.

The copy outlives a restart where the configuration has a `state` directory: a gateway that starts while the server is
down routes by the last rules it knew.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import re
from collections.abc import Awaitable, Callable, Sequence
from contextlib import aclosing
from pathlib import Path

from gateway.errors import RegistryError
from gateway.files import write_file
from gateway.registry.consul.client import ConsulClient
from gateway.registry.documents import ConsulDocument, NacosDocument, RemoteDocument
from gateway.registry.nacos.client import Credentials, NacosClient
from gateway.settings import RemoteRules

_log = logging.getLogger("gateway.control")

FIRST_BACK_OFF = 0.5
LONGEST_BACK_OFF = 10.0
"""Seconds between attempts to reach a server that does not answer."""
SETTLING = 5.0
"""Seconds after a write of ours in which the server may still answer with what was there before (Nacos does)."""


def mirror_path(source: RemoteRules, folder: Path) -> Path:
    """The file that holds the copy."""
    plain = re.sub(r"[^0-9A-Za-z._-]", "-", source.name)
    digest = hashlib.sha256(f"{source.name}|{source.address}|{source.namespace}".encode()).hexdigest()[:8]
    return folder / "remote" / f"{plain.removesuffix('.yaml')}-{digest}.yaml"


def make_document(source: RemoteRules) -> RemoteDocument:
    """The client of a source."""
    address = str(source.address)
    if source.nacos is not None:
        client = NacosClient([address], Credentials(source.username, source.password, source.token))
        return NacosDocument(client, source.nacos, source.group, source.namespace, source.interval)
    assert source.consul is not None
    return ConsulDocument(ConsulClient(address, source.token), source.consul)


class Mirror:
    """Keeps the copy of one document. `changed` is awaited after the file has changed."""

    def __init__(self, document: RemoteDocument, path: Path, changed: Callable[[str], Awaitable[None]]) -> None:
        self.path = path
        self.name = document.name
        self.reason = ""
        """Why the copy may be old; empty where the server has answered."""
        self._document = document
        self._changed = changed
        self._has_answered = False
        self._was_asked = asyncio.Event()
        self._replaced: str | None = None
        self._settled_at = 0.0
        self._task: asyncio.Task[None] | None = None

    @property
    def is_unknown(self) -> bool:
        """Whether the server has never answered, and there is no copy of an earlier time."""
        return not self._has_answered and not self.path.exists()

    def start(self) -> None:
        """Begins to follow the document."""
        self._task = asyncio.get_running_loop().create_task(self._follow())

    async def asked(self) -> None:
        """Waits until the server was asked for the first time, and has answered or has failed to."""
        await self._was_asked.wait()

    async def _follow(self) -> None:
        back_off = FIRST_BACK_OFF
        while True:
            try:
                async with aclosing(self._document.watch()) as texts:
                    async for text in texts:
                        back_off = FIRST_BACK_OFF
                        await self._take(text)
            except RegistryError as error:
                if str(error) != self.reason:
                    _log.warning("rules of %s: %s; what is known stays", self.name, error)
                self.reason = str(error)
                self._was_asked.set()
            await asyncio.sleep(back_off)
            back_off = min(2 * back_off, LONGEST_BACK_OFF)

    async def _take(self, text: str | None) -> None:
        is_first = not self._was_asked.is_set()
        self._has_answered = True
        if text is None:
            # Gone is not the same as empty: nobody closes every lane by deleting a document.
            if self.reason != "absent":
                _log.warning("rules of %s: there is no such document; what is known stays", self.name)
            self.reason = "absent"
            self._was_asked.set()
            return
        if self.reason:
            _log.info("rules of %s: the server answers again", self.name)
            self.reason = ""
        is_settling = asyncio.get_running_loop().time() < self._settled_at
        if self.read() != text and not (is_settling and text == self._replaced):
            write_file(self.path, text)
            if not is_first:
                await self._changed(f"{self.name} changed")
        self._was_asked.set()

    def read(self) -> str | None:
        """The copy; None where there is none."""
        try:
            return self.path.read_text(encoding="utf-8")
        except OSError:
            return None

    async def publish(self, text: str) -> None:
        """Writes the document and the copy. Raises ConflictError and RegistryError; then neither has changed."""
        before = self.read()
        await self._document.publish(text, before)
        self._replaced = before
        self._settled_at = asyncio.get_running_loop().time() + SETTLING
        write_file(self.path, text)

    async def close(self) -> None:
        """Stops following."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        await self._document.close()


class Mirrors:
    """The copies of all remote sources of a configuration."""

    def __init__(self, sources: Sequence[RemoteRules], folder: Path, changed: Callable[[str], Awaitable[None]]) -> None:
        self._mirrors = [Mirror(make_document(source), mirror_path(source, folder), changed) for source in sources]

    async def start(self) -> None:
        """Follows every document, and waits until each server was asked once: the client has time limits of its own."""
        for mirror in self._mirrors:
            mirror.start()
        await asyncio.gather(*(mirror.asked() for mirror in self._mirrors))

    def of(self, path: Path) -> Mirror | None:
        """The mirror whose copy a file is."""
        return next((mirror for mirror in self._mirrors if mirror.path == path), None)

    def unknown(self) -> list[str]:
        """The sources of which nothing is known."""
        return [mirror.name for mirror in self._mirrors if mirror.is_unknown]

    def describe(self) -> list[dict[str, object]]:
        """Every source, as plain values."""
        return [
            {"source": mirror.name, "file": str(mirror.path), "problem": mirror.reason or None}
            for mirror in self._mirrors
        ]

    async def close(self) -> None:
        """Stops following."""
        await asyncio.gather(*(mirror.close() for mirror in self._mirrors))
