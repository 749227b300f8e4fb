"""What has to be watched to see a file change, however it is replaced.

A path is a trail of directory entries, links and what they lead to included. A link that is flipped, a directory that is
renamed over, a file that an editor saves beside and renames: each is a change of one entry on the trail.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

from gateway.rulesources.files import SUFFIXES, yaml_files

MOST_LINKS: Final = 40
"""Links that a path may lead through, as in Linux (path_resolution(7))."""


class Trail(NamedTuple):
    """Where a path leads, and the entries that lead there, each in a directory without links."""

    end: Path
    entries: tuple[Path, ...]


def trail(path: Path) -> Trail:
    """The trail of a path; up to the first entry that is not there, which is its end then."""
    at = Path("/")
    entries: list[Path] = []
    rest = list(path.absolute().parts[1:])
    links = 0
    while rest:
        name = rest.pop(0)
        if name == "..":
            at = at.parent
            continue
        entry = at / name
        entries.append(entry)
        try:
            target = entry.readlink()
        except OSError:
            at = entry
            if not os.path.lexists(entry):
                break
            continue
        links += 1
        if links > MOST_LINKS:
            break
        if target.is_absolute():
            at = Path("/")
        rest = [part for part in target.parts if part != "/"] + rest
    return Trail(at, tuple(entries))


@dataclass(frozen=True, slots=True)
class Scope:
    """What changes of some files and directories would be seen in.

    `directories` are those to watch; each with its device and inode, since another one may take its place. `entries` are
    the names on the trails, `searched` the directories whose rule files count.
    """

    directories: frozenset[tuple[str, int, int]]
    entries: frozenset[str]
    searched: frozenset[str]

    @staticmethod
    def of(files: Iterable[Path]) -> Scope:
        """Of files and directories; those that are not there yet included."""
        entries: set[Path] = set()
        searched: set[Path] = set()
        folders: dict[Path, Path] = {}
        for file in files:
            folder = file.absolute().parent
            if folder not in folders:
                folders[folder], on_the_way = trail(folder)
                entries.update(on_the_way)
            entry = folders[folder] / file.name
            # Most files are not links: the way to their directory is walked once.
            end, after = trail(entry) if entry.is_symlink() else (entry, (entry,))
            entries.update(after)
            if end.is_dir():
                searched.add(end)
        watched = {entry.parent for entry in entries} | searched
        return Scope(
            frozenset(found for directory in watched if (found := _identity(directory)) is not None),
            frozenset(map(str, entries)),
            frozenset(map(str, searched)),
        )

    def concerns(self, path: str) -> bool:
        """Whether a change of a directory's entry may matter: not another line in a log next to it."""
        if path in self.entries:
            return True
        folder, _, name = path.rpartition("/")
        return folder in self.searched and name.endswith(SUFFIXES) and not name.startswith(".")


def _identity(directory: Path) -> tuple[str, int, int] | None:
    """None for a directory that is not there, or that may not be watched."""
    try:
        found = directory.stat()
    except OSError:
        return None
    if not stat.S_ISDIR(found.st_mode) or not os.access(directory, os.R_OK):
        return None
    return (str(directory), found.st_dev, found.st_ino)


Signature = tuple[object, ...]
"""What a look at files finds, to be compared with another one: equal if nothing has changed, as far as is known."""


def signature(files: Iterable[Path]) -> Signature:
    """Looks at files and directories: what each is, when it last changed, and a directory's rule files."""
    return tuple((file, _look(file)) for file in files)


def _look(file: Path) -> object:
    try:
        found = file.stat()
        if stat.S_ISDIR(found.st_mode):
            return (found.st_dev, found.st_ino, *(member.name for member in yaml_files(file)))
    except OSError as error:
        return error.errno
    # The inode's change time too: who fixes a file's mode, or sets an older file's time, has changed it.
    return (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)
