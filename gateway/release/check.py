"""What `gateway check` does: the files of a release as well as all others."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from gateway.errors import ConfigError, Problem
from gateway.files import read_file
from gateway.ruletools.check import check, yaml_files_below


def check_all(paths: Sequence[Path]) -> tuple[list[Problem], int]:
    """Every problem in files and directories of any kind, and how many files were looked at.

    A configuration of `gateway release serve` brings the files of its folder with it, wherever that is.
    """
    members = [member for path in paths for member in (yaml_files_below(path) if path.is_dir() else [path])]
    problems: list[Problem] = []
    seen: set[Path] = set()
    for config in filter(_is_release, members):
        from gateway.release.catalog import FOLDERS, load_catalog  # noqa: PLC0415 - wants what `[release]` installs
        from gateway.release.settings import load_release  # noqa: PLC0415

        seen.add(config.absolute())
        try:
            loaded = load_release(config)
            for kind in FOLDERS:
                seen.update((loaded.files / kind).glob("*"))
            load_catalog(loaded.files, loaded.settings.targets)
        except ConfigError as error:
            problems.extend(error.problems)
    others, count = check([path for path in paths if path.absolute() not in seen], seen)
    return sorted({*problems, *others}), count + len(seen)


def _is_release(path: Path) -> bool:
    """Whether a file is a configuration of the release server: no other one has targets."""
    try:
        return b"\ntargets:" in b"\n" + read_file(path)
    except OSError:
        return False
