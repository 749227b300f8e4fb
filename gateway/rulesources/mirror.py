"""Copies of remote rules: a document is kept as a file, a folder (a prefix of Consul, a ConfigMap) as a directory.

Everything else works with these.
The copy outlives a restart where the configuration has a `state` directory: a gateway that starts while the server is
down routes by the last rules it knew. A copy is what the server says, sound or not; what was last sound is kept beside it
(`lastgood.py`).
"""

from __future__ import annotations

import asyncio
import logging
import time
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import aclosing
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Generic, Protocol, TypeVar
from urllib.parse import unquote

from gateway.daemons import keep_running
from gateway.errors import RegistryError
from gateway.files import MAX_DATA, PRIVATE, read_file, write_file
from gateway.rulesources.documents import RemoteDocument
from gateway.rulesources.files import SUFFIXES, yaml_files
from gateway.rulesources.remote import key_path
from gateway.settings import RemoteSource
from gateway.tls.contexts import CertificateError

if TYPE_CHECKING:
    from gateway.rulesources.lanegroups import LaneGroupFolder

_log = logging.getLogger("gateway.control")

FIRST_BACK_OFF = 0.5
LONGEST_BACK_OFF = 10.0
"""Seconds between attempts to reach a server that does not respond."""

C = TypeVar("C")
C_co = TypeVar("C_co", covariant=True)


class Watched(Protocol[C_co]):
    """What is mirrored: see RemoteDocument and WrittenFolder."""

    name: str

    def watch(self) -> AsyncGenerator[C_co | None, None]:
        """Yields what there is, then whenever it may have changed."""
        ...

    async def close(self) -> None:
        """Closes the connections."""
        ...


class Mirror(ABC, Generic[C]):
    """Keeps the copy of what a server has. `changed` is awaited after the copy has changed."""

    NOTHING: ClassVar[str]
    """What is said where there is nothing."""

    def __init__(self, remote: Watched[C], path: Path, changed: Callable[[str], Awaitable[None]]) -> None:
        self.path = path
        self.name = remote.name
        self.reason = ""
        """Why the copy may be old; empty if the server has responded with rules."""
        self.failures: Counter[str] = Counter()
        """How often a query of the server failed, by reason: that of a RegistryError, `absent` (counted when it begins),
        `disk` or `unexpected`."""
        self._remote = remote
        self._changed = changed
        self._texts: dict[Path, str] | None = None
        """What the copy should be; None until the server has said it."""
        self._responded_at: float | None = None
        self._was_asked = asyncio.Event()
        self.renew: Callable[[], None] = lambda: None
        """Reads the certificates for the server again. Raises CertificateError."""
        self._writing = asyncio.Lock()
        self._written = 0
        self._back_off = FIRST_BACK_OFF
        self._task: asyncio.Task[None] | None = None

    @property
    def is_unknown(self) -> bool:
        """Whether the server has never responded, and there is no copy of an earlier time."""
        return self._responded_at is None and not self.path.exists()

    @property
    def is_up(self) -> bool:
        """Whether the server responds, and has rules there."""
        return self._responded_at is not None and not self.reason

    @property
    def age(self) -> float | None:
        """Seconds since the server last said something; None if it never did. Servers that are waited for say little."""
        return None if self._responded_at is None else time.monotonic() - self._responded_at

    def start(self) -> None:
        """Begins to follow the server."""
        self._task = keep_running("following remote rules", self._follow)

    async def asked(self) -> None:
        """Waits until the server was queried for the first time, and has responded or failed."""
        await self._was_asked.wait()

    async def _follow(self) -> None:
        while True:
            try:
                await self._watch()
            except Exception as error:  # noqa: BLE001 - a full disk, or a bug, must not end the watch for ever
                self._failed(error)
                self._was_asked.set()
                await asyncio.sleep(self._back_off)
                self._back_off = min(2 * self._back_off, LONGEST_BACK_OFF)

    def _failed(self, error: Exception) -> None:
        is_known = isinstance(error, RegistryError | OSError)
        self.failures[error.reason if isinstance(error, RegistryError) else "disk" if is_known else "unexpected"] += 1
        if str(error) != self.reason:
            _log.warning("rules of %s: %s; keeping the last known rules", self.name, error)
            if not is_known:
                _log.error("unexpected", exc_info=error)
        self.reason = str(error)

    async def _watch(self) -> None:
        """Accepts responses until we have written: one that was under way in the meantime may be older than that."""
        written = self._written
        async with aclosing(self._remote.watch()) as contents:
            async for content in contents:
                self._back_off = FIRST_BACK_OFF
                async with self._writing:
                    if written != self._written:
                        return
                    is_news = await self._take(content)
                if is_news and self._was_asked.is_set():
                    await self._changed(f"{self.name} changed")
                self._was_asked.set()

    async def _take(self, content: C | None) -> bool:
        """Accepts a response; returns whether the copy was another one."""
        self._responded_at = time.monotonic()
        if content is None:
            # Gone is not the same as empty: nobody closes every lane by deleting a document.
            if self.reason != self.NOTHING:
                self.failures["absent"] += 1
                _log.warning("rules of %s: %s; keeping the last known rules", self.name, self.NOTHING)
            self.reason = self.NOTHING
            return False
        self._texts = self._files_of(content)
        is_news = await asyncio.to_thread(self._write)
        if self.reason:
            _log.info("rules of %s: the server responds again", self.name)
            self.reason = ""
        return is_news

    async def restore(self) -> None:
        """Puts right a copy that somebody has changed or deleted: the server's word counts. Raises OSError."""
        async with self._writing:
            if self._texts is not None:
                await asyncio.to_thread(self._write)

    def _write(self) -> bool:
        """Makes the copy what it should be; returns whether it was not."""
        texts = self._texts or {}
        changed = {path: text for path, text in texts.items() if _read(path) != text}
        strays = [path for path in self._copies() if path not in texts]
        for path in strays:
            path.unlink(missing_ok=True)
        for path, text in changed.items():
            write_file(path, text, PRIVATE)
        return bool(strays or changed)

    async def publish(self, path: Path, text: str | None) -> None:
        """Writes a document, or deletes it (None), and its copy. Raises ConflictError and RegistryError; then neither changes."""
        async with self._writing:
            await self._send(path, text, _read(path))
            self._written += 1
            if self._texts is None:  # the server has sent nothing yet: what is known of the others stays
                self._texts = {copy: known for copy in self._copies() if (known := _read(copy)) is not None}
            self._texts.pop(path, None)
            if text is not None:
                self._texts[path] = text
            await asyncio.to_thread(self._write)

    @abstractmethod
    def holds(self, path: Path) -> bool:
        """Whether a file is a copy that is kept here."""

    @abstractmethod
    def _copies(self) -> Sequence[Path]:
        """The files that there are of the copy."""

    @abstractmethod
    def _files_of(self, content: C) -> dict[Path, str]:
        """What the copy of a response is."""

    @abstractmethod
    async def _send(self, path: Path, text: str | None, before: str | None) -> None:
        """Writes to the server."""

    async def report(self, problems: Sequence[str]) -> None:
        """Takes the problems of all rules there are now, as text, for a source that shows people how it fared."""

    async def close(self) -> None:
        """Stops following."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        await self._remote.close()


class DocumentMirror(Mirror[str]):
    """The copy of one document: a file."""

    NOTHING = "there is no such document"

    def __init__(self, document: RemoteDocument, path: Path, changed: Callable[[str], Awaitable[None]]) -> None:
        super().__init__(document, path, changed)
        self._document = document

    def holds(self, path: Path) -> bool:
        """See Mirror."""
        return path == self.path

    def _copies(self) -> Sequence[Path]:
        return ()  # there are no others

    def _files_of(self, content: str) -> dict[Path, str]:
        return {self.path: content}

    async def _send(self, path: Path, text: str | None, before: str | None) -> None:
        if text is not None:  # else a document of rules that did not exist then: it has none
            await self._document.publish(text, before)


class WrittenFolder(Watched[Mapping[str, str]], Protocol):
    """Documents by name, each of which can be written: the keys below a prefix of Consul, or those of a ConfigMap."""

    async def publish(self, name: str, text: str | None, before: str | None) -> None:
        """Writes one, or deletes it (None), if it still is `before`. Raises ConflictError, and RegistryError."""
        ...


class FolderMirror(Mirror[Mapping[str, str]]):
    """The copy of the documents below a prefix: a directory."""

    NOTHING = f"there is no key in it whose name ends with {' or '.join(SUFFIXES)}"

    def __init__(self, folder: WrittenFolder, path: Path, changed: Callable[[str], Awaitable[None]]) -> None:
        super().__init__(folder, path, changed)
        self._folder = folder
        self._keys: dict[Path, str] = {}

    def holds(self, path: Path) -> bool:
        """See Mirror."""
        return path.parent == self.path

    def _copies(self) -> Sequence[Path]:
        return yaml_files(self.path) if self.path.is_dir() else ()

    def _files_of(self, content: Mapping[str, str]) -> dict[Path, str]:
        files = {key_path(self.path, key): key for key in content}
        self._keys.update(files)
        return {path: content[key] for path, key in files.items()}

    async def _send(self, path: Path, text: str | None, before: str | None) -> None:
        # A key that the server has not sent was deleted since; only that of a long name is not its file's name.
        await self._folder.publish(self._keys.get(path) or unquote(path.name), text, before)


class LaneGroupMirror(FolderMirror):
    """The copy of LaneGroup objects, each of which shows how it fared."""

    NOTHING = "there is no LaneGroup in it"

    def __init__(self, folder: LaneGroupFolder, path: Path, changed: Callable[[str], Awaitable[None]]) -> None:
        super().__init__(folder, path, changed)
        self._groups = folder

    async def report(self, problems: Sequence[str]) -> None:
        """See Mirror."""
        found: dict[str, list[str]] = {}
        for text in problems:
            if text.startswith(self.name):
                name, _, message = text.removeprefix(self.name).partition(":")
                found.setdefault(name, []).append(message)
        await self._groups.report(found, not problems)


def _read(path: Path) -> str | None:
    """What a file says; None if there is none."""
    try:
        return read_file(path, MAX_DATA).decode()  # as it is: line ends of Windows are the server's, too
    except (OSError, ValueError):
        return None


AnyMirror = DocumentMirror | FolderMirror


class Mirrors:
    """The copies of all remote sources of a configuration."""

    def __init__(
        self, sources: Sequence[RemoteSource], folder: Path, changed: Callable[[str], Awaitable[None]]
    ) -> None:
        self._mirrors: list[AnyMirror] = []
        if sources:
            from gateway.rulesources.making import make_mirror

            self._mirrors += [make_mirror(source, folder, changed) for source in sources]

    async def start(self) -> None:
        """Follows every document, and waits until each server was queried once: the client has its own time limits."""
        for mirror in self._mirrors:
            mirror.start()
        await asyncio.gather(*(mirror.asked() for mirror in self._mirrors))

    def of(self, path: Path) -> AnyMirror | None:
        """The mirror whose copy a file is."""
        return next((mirror for mirror in self._mirrors if mirror.holds(path)), None)

    def unknown(self) -> list[str]:
        """The sources of which nothing is known."""
        return [mirror.name for mirror in self._mirrors if mirror.is_unknown]

    async def restore(self) -> None:
        """Puts right copies that somebody has changed or deleted. What cannot be written is logged."""
        for mirror in self._mirrors:
            try:
                await mirror.restore()
            except OSError as error:
                _log.warning("the copy of %s: %s", mirror.name, error)

    def renew(self) -> None:
        """Reads the certificates for the servers again, since the files may have changed. What cannot be read changes nothing."""
        for mirror in self._mirrors:
            try:
                mirror.renew()
            except CertificateError as error:  # it could be read a moment ago: it is being changed again
                _log.warning("%s: %s; keeping the certificates in use", mirror.name, error.message)

    async def report(self, problems: Sequence[str]) -> None:
        """Shows in each source that has room for it how it fared."""
        for mirror in self._mirrors:
            await mirror.report(problems)

    def __iter__(self) -> Iterator[AnyMirror]:
        return iter(self._mirrors)

    def describe(self, problems: Sequence[str]) -> list[dict[str, object]]:
        """Every source, as plain values; `problems` are those of the rules there are now."""
        return [
            {
                "source": mirror.name,
                "file": str(mirror.path),
                "age": None if mirror.age is None else round(mirror.age, 3),
                "problem": mirror.reason or next((text for text in problems if text.startswith(mirror.name)), None),
            }
            for mirror in self._mirrors
        ]

    async def close(self) -> None:
        """Stops following."""
        await asyncio.gather(*(mirror.close() for mirror in self._mirrors))
