"""Files of rules by names that stay the same wherever the gateway is started, or moved to.

A name begins with a source as the configuration spells it, or as its server calls it, so that it does not depend on the
working directory; behind that comes a file's own name, where the source is a directory. Back from a name leads only to files
that the configuration's rules may have: what is in an old revision cannot name any other.
"""

from __future__ import annotations

import os
import posixpath
from collections.abc import Mapping, Sequence
from pathlib import Path

from gateway.rulesources.files import SUFFIXES
from gateway.rulesources.remote import copy_path
from gateway.settings import RemoteSource
from gateway.settings.sources import RulesSource


class Places:
    """The sources of a configuration: `roots` are their files and directories by name."""

    def __init__(self, roots: Mapping[str, Path]) -> None:
        self._roots = roots

    @staticmethod
    def of(sources: Sequence[RulesSource], config: Path, state: Path | None) -> Places:
        """Those of the configuration in a file, with copies of remote ones in the directory `state`."""
        roots: dict[str, Path] = {}
        for source in sources:
            if not isinstance(source, RemoteSource):
                roots[posixpath.normpath(source)] = beside(config, source)
            elif state is not None:
                name = source.place
                roots[source.name if name in roots else name] = copy_path(source, state)
        return Places(roots)

    def name(self, path: Path) -> str:
        """What a file of rules is called."""
        for name, root in self._roots.items():
            if _is_same(path, root):
                return name
            if _is_same(path.parent, root):
                return f"{name.rstrip('/')}/{path.name}"
        return str(path)

    def find(self, name: str, known: Sequence[Path]) -> Path | None:
        """The file of a name, one of `known` where it is among them; None if rules cannot have such a file.

        A directory has files beside one another, no hidden ones, and none that a link leads away.
        """
        for place, root in self._roots.items():
            if name == place and not root.is_dir():
                return _one_of(known, root)
            own = name.removeprefix(place.rstrip("/") + "/")
            if own != name and root.is_dir() and _can_be_read(own):
                path = _one_of(known, root / own)
                if path in known or _real(path).parent == _real(root):
                    return path
        return None

    def is_source(self, path: Path) -> bool:
        """Whether a file is named by the configuration itself: it cannot be taken away."""
        return any(_is_same(path, root) for root in self._roots.values())


def beside(path: Path, source: str) -> Path:
    """A rules source, relative to its configuration; without `..` where that names the same, for people to read."""
    joined = path.parent / source
    plain = Path(os.path.normpath(joined))
    try:
        return plain if plain.samefile(joined) else joined
    except (OSError, ValueError):  # ValueError: a NUL
        return joined


def _can_be_read(name: str) -> bool:
    """Whether a file of this name in a directory of rules is one of them."""
    return (
        name.endswith(SUFFIXES) and name[0] != "." and "/" not in name and "\0" not in name and len(name.encode()) < 256
    )


def _is_same(path: Path, other: Path) -> bool:
    return path.absolute() == other.absolute() or _plain(path) == _plain(other)


def _plain(path: Path) -> Path:
    """Without `..` and links; the last part stays what it is."""
    return _real(path) if path.name in ("", "..") else _real(path.parent) / path.name


def _real(path: Path) -> Path:
    return Path(os.path.realpath(path))  # Path.resolve() raises for links in a circle


def _one_of(known: Sequence[Path], path: Path) -> Path:
    return next((other for other in known if _is_same(other, path)), path)
