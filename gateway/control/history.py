"""The last revisions of the rules: what they were, when, why and by whom; on disk where there is a directory for it."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from gateway.files import PRIVATE, write_file

_log = logging.getLogger("gateway.control")

LIMIT = 50
"""Revisions that are kept."""


@dataclass(frozen=True, slots=True)
class Revision:
    """One revision. `at` is seconds since the epoch; `author` is empty where it is not known; `files` are texts by path."""

    number: int
    at: float
    author: str
    cause: str
    files: Mapping[str, str] = field(repr=False)


class History:
    """Revisions in order, the newest last."""

    def __init__(self, folder: Path | None = None, limit: int = LIMIT) -> None:
        """Reads what an earlier run has left in `folder`; a file that cannot be read is passed over."""
        self._folder = folder
        self._limit = limit
        self._revisions: dict[int, Revision] = {}
        if folder is not None and folder.is_dir():
            for file in sorted(folder.glob("*.json")):
                try:
                    data = json.loads(file.read_text(encoding="utf-8"))
                    revision = Revision(**data)
                    self._revisions[revision.number] = revision
                except (OSError, ValueError, TypeError) as error:
                    _log.warning("history: %s is passed over: %s", file, error)

    @property
    def last(self) -> int:
        """The number of the newest revision, 0 where there is none."""
        return max(self._revisions, default=0)

    def revisions(self) -> list[Revision]:
        """All that are kept, the newest first."""
        return sorted(self._revisions.values(), key=lambda revision: -revision.number)

    def get(self, number: int) -> Revision | None:
        """A revision, None where it is not kept."""
        return self._revisions.get(number)

    def record(self, revision: Revision) -> None:
        """Keeps a revision, and forgets the oldest beyond the limit."""
        self._revisions[revision.number] = revision
        surplus = sorted(self._revisions)[: -self._limit]
        for number in surplus:
            del self._revisions[number]
        if self._folder is None:
            return
        try:
            write_file(self._file(revision.number), json.dumps(asdict(revision)), PRIVATE)
            for number in surplus:
                self._file(number).unlink(missing_ok=True)
        except OSError as error:
            _log.error("history: cannot be written to %s: %s", self._folder, error)

    def _file(self, number: int) -> Path:
        assert self._folder is not None
        return self._folder / f"{number:09d}.json"
