"""Files as wholes: replaced so that nobody ever reads half of one, and compared."""

from __future__ import annotations

import difflib
import os
import stat
import tempfile
from pathlib import Path


def write_file(path: Path, text: str, new_mode: int = 0o644) -> None:
    """Replaces a file by one with this text, with the same mode, or `new_mode` where there is none yet.

    Directories above it are made. Raises OSError.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    target = path.resolve()  # a link stays a link: what it leads to is replaced
    descriptor, temporary = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        mode = stat.S_IMODE(target.stat().st_mode) if target.exists() else new_mode
        Path(temporary).chmod(mode)
        Path(temporary).replace(target)
    except BaseException:
        Path(temporary).unlink()
        raise


def unified_diff(before: str, after: str, before_name: str, after_name: str) -> str:
    """What changed, as `diff -u` and `git` show it; `patch` takes it."""
    lines = difflib.unified_diff(
        before.splitlines(keepends=True), after.splitlines(keepends=True), before_name, after_name
    )
    return "".join(line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in lines)
