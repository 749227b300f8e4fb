"""The last revisions of the rules: what they were, when, why and by whom; on disk where there is a directory for it."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated, Final

from pydantic import Field, TypeAdapter, ValidationError

from gateway.files import MAX_DATA, PRIVATE, read_file, write_file

_log = logging.getLogger("gateway.control")

LIMIT = 50
"""Revisions that are kept."""
MAX_HISTORY: Final = 256 << 20
"""Bytes of all of them that are read at a start, the newest first."""
_NAME: Final = re.compile(r"[0-9]{9,15}\.json")


@dataclass(frozen=True, slots=True)
class Revision:
    """One revision. `at` is seconds since the epoch; `author` is empty if it is not known.

    `files` are texts by the names of `places.py`.
    """

    number: Annotated[int, Field(ge=1, lt=10**15)]
    at: Annotated[float, Field(ge=0, allow_inf_nan=False)]
    author: str
    cause: str
    files: Mapping[str, str] = field(repr=False)


_REVISION: Final = TypeAdapter(Revision)


class History:
    """Revisions in order, the newest last."""

    def __init__(self, folder: Path | None = None, limit: int = LIMIT) -> None:
        """Reads what an earlier run has left in `folder`; a file that is not a revision is ignored."""
        self._folder = folder
        self._limit = limit
        self._revisions: dict[int, Revision] = {}
        self._forgotten: list[int] = []  # which have files yet
        left = MAX_HISTORY
        for file in self._files()[:limit]:
            try:
                content = read_file(file, min(MAX_DATA, left))
                left -= len(content)
                revision = _REVISION.validate_json(content, strict=True)
            except ValidationError as error:
                first = error.errors(include_url=False, include_input=False)[0]
                _log.warning("history: %s is ignored: %s: %s", file, ".".join(map(str, first["loc"])), first["msg"])
            except OSError as error:
                _log.warning("history: %s is ignored: %s", file, error.strerror or error)
            else:
                if self._file(revision.number) == file:
                    self._revisions[revision.number] = revision
                else:
                    _log.warning("history: %s is ignored: it is revision %d", file, revision.number)

    @property
    def last(self) -> int:
        """The number of the newest revision, 0 if there is none."""
        return max(self._revisions, default=0)

    def revisions(self) -> list[Revision]:
        """All that are kept, the newest first."""
        return sorted(self._revisions.values(), key=lambda revision: -revision.number)

    def get(self, number: int) -> Revision | None:
        """A revision, None if it is not kept."""
        return self._revisions.get(number)

    def add(self, revision: Revision) -> None:
        """Keeps a revision in memory, and forgets the oldest beyond the limit. Whoever asks from now on is told of it."""
        self._revisions[revision.number] = revision
        for number in sorted(self._revisions)[: -self._limit]:
            del self._revisions[number]
            self._forgotten.append(number)

    def save(self, revision: Revision) -> None:
        """Writes a revision that was added, and removes what was forgotten. Waits for the disk: not for the loop."""
        if self._folder is None:
            return
        try:
            write_file(self._file(revision.number), json.dumps(asdict(revision)), PRIVATE)
            while self._forgotten:
                self._file(self._forgotten.pop()).unlink(missing_ok=True)
        except OSError as error:
            _log.error("history: cannot be written to %s: %s", self._folder, error)

    def _files(self) -> list[Path]:
        """The files of revisions, the newest first."""
        try:
            found = [] if self._folder is None else list(self._folder.iterdir())
        except OSError:
            return []
        return sorted((file for file in found if _NAME.fullmatch(file.name)), key=lambda file: -int(file.stem))

    def _file(self, number: int) -> Path:
        assert self._folder is not None
        return self._folder / f"{number:09d}.json"
