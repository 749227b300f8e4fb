"""Copies of remote rules: a document is kept as a file, a prefix of Consul as a directory, and everything else works with these.

The copy outlives a restart where the configuration has a `state` directory: a gateway that starts while the server is
down routes by the last rules it knew.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import re
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing
from pathlib import Path
from typing import Generic, Protocol, TypeVar
from urllib.parse import quote, unquote

from gateway.control.rulefiles import SUFFIXES, yaml_files
from gateway.errors import RegistryError
from gateway.files import write_file
from gateway.registry.consul.client import ConsulClient
from gateway.registry.consul.documents import ConsulDocument, ConsulFolder
from gateway.registry.documents import RemoteDocument
from gateway.registry.nacos.client import Credentials, NacosClient
from gateway.registry.nacos.document import NacosDocument
from gateway.settings import RemoteRules

_log = logging.getLogger("gateway.control")

FIRST_BACK_OFF = 0.5
LONGEST_BACK_OFF = 10.0
"""Seconds between attempts to reach a server that does not answer."""

LONGEST_NAME = 200

C = TypeVar("C")
C_co = TypeVar("C_co", covariant=True)


class Watched(Protocol[C_co]):
    """What is mirrored: see RemoteDocument and ConsulFolder."""

    name: str

    def watch(self) -> AsyncGenerator[C_co | None, None]:
        """Yields what there is, then whenever it may have changed."""
        ...

    async def close(self) -> None:
        """Closes the connections."""
        ...


def mirror_path(source: RemoteRules, folder: Path) -> Path:
    """The file or directory that holds the copy."""
    plain = re.sub(r"[^0-9A-Za-z._-]", "-", source.name)
    digest = hashlib.sha256(f"{source.name}|{source.address}|{source.namespace}".encode()).hexdigest()[:8]
    name = f"{plain.removesuffix('.yaml')}-{digest}"
    return folder / "remote" / (name if source.is_folder else f"{name}.yaml")


class Mirror(ABC, Generic[C]):
    """Keeps the copy of what a server has. `changed` is awaited after the copy has changed."""

    def __init__(self, remote: Watched[C], path: Path, changed: Callable[[str], Awaitable[None]]) -> None:
        self.path = path
        self.name = remote.name
        self.reason = ""
        """Why the copy may be old; empty where the server has answered."""
        self._remote = remote
        self._changed = changed
        self._has_answered = False
        self._was_asked = asyncio.Event()
        self._writing = asyncio.Lock()
        self._written = 0
        self._back_off = FIRST_BACK_OFF
        self._task: asyncio.Task[None] | None = None

    @property
    def is_unknown(self) -> bool:
        """Whether the server has never answered, and there is no copy of an earlier time."""
        return not self._has_answered and not self.path.exists()

    def start(self) -> None:
        """Begins to follow the server."""
        self._task = asyncio.get_running_loop().create_task(self._follow())

    async def asked(self) -> None:
        """Waits until the server was asked for the first time, and has answered or has failed to."""
        await self._was_asked.wait()

    async def _follow(self) -> None:
        while True:
            try:
                await self._watch()
            except Exception as error:  # noqa: BLE001 - a full disk, or a bug, must not end the watch for ever
                if str(error) != self.reason:
                    _log.warning("rules of %s: %s; what is known stays", self.name, error)
                    if not isinstance(error, RegistryError | OSError):
                        _log.exception("unexpected")
                self.reason = str(error)
                self._was_asked.set()
                await asyncio.sleep(self._back_off)
                self._back_off = min(2 * self._back_off, LONGEST_BACK_OFF)

    async def _watch(self) -> None:
        """Takes answers until we have written: one that was under way meanwhile may be older than that."""
        written = self._written
        async with aclosing(self._remote.watch()) as answers:
            async for content in answers:
                self._back_off = FIRST_BACK_OFF
                async with self._writing:
                    if written != self._written:
                        return
                await self._take(content)

    async def _take(self, content: C | None) -> None:
        is_first = not self._was_asked.is_set()
        self._has_answered = True
        if content is None:
            # Gone is not the same as empty: nobody closes every lane by deleting a document.
            if self.reason != "absent":
                _log.warning("rules of %s: there is no such document; what is known stays", self.name)
            self.reason = "absent"
            self._was_asked.set()
            return
        if self.reason:
            _log.info("rules of %s: the server answers again", self.name)
            self.reason = ""
        if self._write(content) and not is_first:
            await self._changed(f"{self.name} changed")
        self._was_asked.set()

    async def publish(self, path: Path, text: str | None) -> None:
        """Writes a document, or deletes it (None), and its copy. Raises ConflictError and RegistryError; then neither changes."""
        async with self._writing:
            await self._send(path, text, _read(path))
            self._written += 1
            _put(path, text)

    @abstractmethod
    def holds(self, path: Path) -> bool:
        """Whether a file is a copy that is kept here."""

    @abstractmethod
    def _write(self, content: C) -> bool:
        """Makes the copy what the server has; returns whether it was not."""

    @abstractmethod
    async def _send(self, path: Path, text: str | None, before: str | None) -> None:
        """Tells the server."""

    async def close(self) -> None:
        """Stops following."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        await self._remote.close()


class DocumentMirror(Mirror[str]):
    """The copy of one document: a file."""

    def __init__(self, document: RemoteDocument, path: Path, changed: Callable[[str], Awaitable[None]]) -> None:
        super().__init__(document, path, changed)
        self._document = document

    def holds(self, path: Path) -> bool:
        """See Mirror."""
        return path == self.path

    def _write(self, content: str) -> bool:
        is_news = _read(self.path) != content
        if is_news:
            write_file(self.path, content)
        return is_news

    async def _send(self, path: Path, text: str | None, before: str | None) -> None:
        if text is not None:  # else a document of rules that did not exist then: it has none
            await self._document.publish(text, before)


class FolderMirror(Mirror[Mapping[str, str]]):
    """The copy of the documents below a prefix: a directory, whose files are named like the keys, `/` written as `%2F`."""

    def __init__(self, folder: ConsulFolder, path: Path, changed: Callable[[str], Awaitable[None]]) -> None:
        super().__init__(folder, path, changed)
        self._folder = folder
        self._keys: dict[Path, str] = {}
        """What is not its file's name."""

    def holds(self, path: Path) -> bool:
        """See Mirror."""
        return path.parent == self.path

    def _write(self, content: Mapping[str, str]) -> bool:
        self.path.mkdir(parents=True, exist_ok=True)
        wanted = {self._file(key): text for key, text in content.items()}
        gone = [file for file in yaml_files(self.path) if file not in wanted]
        changed = {file: text for file, text in wanted.items() if _read(file) != text}
        for file in gone:
            file.unlink(missing_ok=True)
        for file, text in changed.items():
            write_file(file, text)
        return bool(gone or changed)

    def _file(self, key: str) -> Path:
        name = quote(key, safe=" ")
        if len(name) <= LONGEST_NAME:
            return self.path / name
        # File systems have names of 255 bytes at most.
        digest = hashlib.sha256(key.encode()).hexdigest()[:16]
        path = self.path / f"{name[: LONGEST_NAME // 2]}-{digest}.yaml"
        self._keys[path] = key
        return path

    async def _send(self, path: Path, text: str | None, before: str | None) -> None:
        await self._folder.publish(self._keys.get(path) or unquote(path.name), text, before)


def make_mirror(source: RemoteRules, folder: Path, changed: Callable[[str], Awaitable[None]]) -> AnyMirror:
    """The mirror of a source."""
    path, address = mirror_path(source, folder), str(source.address)
    if source.nacos is not None:
        nacos = NacosClient([address], Credentials(source.username, source.password, source.token))
        document = NacosDocument(nacos, source.nacos, source.group, source.namespace, source.interval)
        return DocumentMirror(document, path, changed)
    assert source.consul is not None
    consul = ConsulClient(address, source.token)
    if source.is_folder:
        return FolderMirror(ConsulFolder(consul, source.consul, SUFFIXES), path, changed)
    return DocumentMirror(ConsulDocument(consul, source.consul), path, changed)


def _read(path: Path) -> str | None:
    """What a file says; None where there is none."""
    try:
        with path.open(encoding="utf-8", newline="") as file:  # a document may end its lines as it likes
            return file.read()
    except OSError:
        return None


def _put(path: Path, text: str | None) -> None:
    if text is None:
        path.unlink(missing_ok=True)
    else:
        write_file(path, text)


AnyMirror = DocumentMirror | FolderMirror


class Mirrors:
    """The copies of all remote sources of a configuration."""

    def __init__(self, sources: Sequence[RemoteRules], folder: Path, changed: Callable[[str], Awaitable[None]]) -> None:
        self._mirrors = [make_mirror(source, folder, changed) for source in sources]

    async def start(self) -> None:
        """Follows every document, and waits until each server was asked once: the client has time limits of its own."""
        for mirror in self._mirrors:
            mirror.start()
        await asyncio.gather(*(mirror.asked() for mirror in self._mirrors))

    def of(self, path: Path) -> AnyMirror | None:
        """The mirror whose copy a file is."""
        return next((mirror for mirror in self._mirrors if mirror.holds(path)), None)

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
