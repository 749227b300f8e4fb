"""Where copies of remote rules are kept, and what they are called to people: by their place on the server."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final
from urllib.parse import quote, unquote

from gateway.settings import RemoteSource
from gateway.state import REMOTE

LONGEST_NAME: Final = 200
"""Characters of a file's name, beyond which a key is cut off: file systems have names of 255 bytes at most."""
_CUT: Final = LONGEST_NAME // 2


def copy_path(source: RemoteSource, folder: Path) -> Path:
    """The file or directory that holds the copy of a source, in a state directory."""
    plain = re.sub(r"[^0-9A-Za-z._-]", "-", source.place).removesuffix(".yaml")
    digest = hashlib.sha256(f"{source.place}|{source.server}".encode()).hexdigest()[:8]
    return folder / REMOTE / (f"{plain}-{digest}" if source.is_folder else f"{plain}-{digest}.yaml")


def key_path(folder: Path, key: str) -> Path:
    """The file of a key, in the directory that holds the copy of a prefix: named like the key, `/` written as `%2F`."""
    name = quote(key, safe=" ")
    if len(name) > LONGEST_NAME:
        name = f"{name[:_CUT]}-{hashlib.sha256(key.encode()).hexdigest()[:16]}.yaml"
    return folder / name


class Names:
    """What files are called in problems: `Names(…)(path)`. A copy of remote rules is called what the server calls it."""

    def __init__(self, sources: Sequence[object] = (), folder: Path | None = None) -> None:
        """`sources` are those of a configuration, `folder` its state directory."""
        remote = [source for source in sources if isinstance(source, RemoteSource)]
        self._names = {} if folder is None else {copy_path(source, folder): source.name for source in remote}

    def __call__(self, path: Path) -> str:
        """The name of a file or directory."""
        if path in self._names:
            return self._names[path]
        prefix = self._names.get(path.parent)
        return str(path) if prefix is None else prefix + _key_of(path)


def _key_of(path: Path) -> str:
    """The key that a file is named after; its beginning where it was cut off."""
    is_cut = len(path.name) == _CUT + len("-.yaml") + 16 and path.name[_CUT] == "-"
    return f"{unquote(path.name[:_CUT], errors='ignore')}…" if is_cut else unquote(path.name)
