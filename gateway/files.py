"""Files as wholes: read within bounds, replaced so that nobody ever reads half of one, and compared."""

from __future__ import annotations

import errno
import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from io import BufferedReader
from itertools import islice
from pathlib import Path
from typing import Final

MAX_TEXT: Final = 16 << 20
"""Bytes of a file that people write: configuration, rules, keys. Ten thousand lanes have 3 MiB."""
MAX_DATA: Final = 64 << 20
"""Bytes of a file that programs write: segments, copies of what servers said, old revisions."""
_BLOCK: Final = 65536
PRIVATE: Final = 0o600
"""The mode of what is its owner's alone."""


def read_file(path: Path, limit: int = MAX_TEXT) -> bytes:
    """What a regular file of at most `limit` bytes holds.

    Raises OSError, for a device, a pipe and a directory too: a name in a configuration or a document leads anywhere, and
    `/dev/zero` never ends, a FIFO never begins. A file that says that it is empty is taken at its word (those of /proc do).
    """
    with _open_regular(path) as file:
        size = os.fstat(file.fileno()).st_size
        content = file.read(limit + 1) if 0 < size <= limit else b""
    if max(size, len(content)) > limit:
        most = f"{limit >> 20} MiB" if limit >> 20 else f"{limit >> 10} KiB"
        raise OSError(errno.EFBIG, f"it is larger than {most}", str(path))
    return content


def last_lines(path: Path, count: int) -> Iterator[bytes]:
    """The last so many lines of a regular file, one by one, the oldest first. Raises OSError."""
    with _open_regular(path) as file:
        start = end = file.seek(0, os.SEEK_END)
        missing = count
        while start > 0:
            before, start = start, max(0, start - _BLOCK)
            file.seek(start)
            block = file.read(before - start)
            # The line feed at the very end ends the last line, and begins none.
            stop = len(block) - (before == end and block.endswith(b"\n"))
            found = block.count(b"\n", 0, stop)
            if found >= missing:
                for _ in range(missing):
                    stop = block.rfind(b"\n", 0, stop)
                start += stop + 1
                break
            missing -= found
        file.seek(start)
        yield from islice(file, count)  # the file may be written to in the meantime


def _open_regular(path: Path) -> BufferedReader:
    try:
        _require_regular(path.stat(), path)  # before it is opened: that alone does something to some devices
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    except ValueError as error:  # Python's own for a NUL in a name
        raise OSError(errno.EINVAL, "a file cannot have such a name", str(path)) from error
    try:
        _require_regular(os.fstat(descriptor), path)
        return open(descriptor, "rb")  # noqa: PTH123 - it is open
    except OSError:
        os.close(descriptor)
        raise


def _require_regular(status: os.stat_result, path: Path) -> None:
    if stat.S_ISDIR(status.st_mode):
        raise OSError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if not stat.S_ISREG(status.st_mode):
        raise OSError(errno.EINVAL, "not a regular file", str(path))


def write_file(path: Path, text: str, mode: int | None = None) -> None:
    """Replaces a file by one with this text: with the same mode where none is given, or 0644 where there is none yet.

    Directories above it are made; where it is `PRIVATE`, so are they. Neither depends on the umask. Raises OSError.
    """
    if mode == PRIVATE:
        _make_folders(path.parent)
    else:
        path.parent.mkdir(parents=True, exist_ok=True)
    target = Path(os.path.realpath(path))  # a link stays a link: what it leads to is replaced
    descriptor, temporary = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name[:200]}.")
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        if mode is None:
            mode = stat.S_IMODE(target.stat().st_mode) if target.exists() else 0o644
        Path(temporary).chmod(mode)
        Path(temporary).replace(target)
    except BaseException:
        Path(temporary).unlink()
        raise


def make_private(folder: Path) -> None:
    """Makes a directory that is its owner's alone, whatever the umask is, and takes one that is there from all others.

    So are all files and directories in it; links are not followed. Raises OSError.
    """
    _make_folders(folder)
    _take_from_others(folder)
    for above, folders, names in os.walk(folder):
        for name in (*folders, *names):
            with suppress(FileNotFoundError):  # another process may be writing here
                _take_from_others(Path(above, name))


def is_private(path: Path) -> bool:
    """Whether nobody but its owner may read or write a file; its group may, if that is how we do. Raises OSError."""
    status = path.stat()
    return not status.st_mode & (0o066 if status.st_uid == os.geteuid() else 0o006)


def _make_folders(folder: Path) -> None:
    for part in (*reversed(folder.parents), folder):
        if not part.exists():
            part.mkdir(exist_ok=True)
            part.chmod(0o700)


def _take_from_others(path: Path) -> None:
    mode = path.lstat().st_mode
    if stat.S_IMODE(mode) & 0o077 and not stat.S_ISLNK(mode):
        path.chmod(stat.S_IMODE(mode) & 0o700)


def unified_diff(before: str, after: str, before_name: str, after_name: str) -> str:
    """What changed, as `diff -u` and `git` show it; `patch` takes it."""
    import difflib

    lines = difflib.unified_diff(
        before.splitlines(keepends=True), after.splitlines(keepends=True), before_name, after_name
    )
    return "".join(line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in lines)
