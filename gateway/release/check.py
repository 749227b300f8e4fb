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
        seen.add(config.absolute())
        try:
            seen.update(_check_release(config))
        except ConfigError as error:
            problems.extend(error.problems)
            seen.update(path for path in error.files if path.exists())
    others, count = check([path for path in paths if path.absolute() not in seen], seen)
    return sorted({*problems, *others}), count + len(seen)


def _check_release(config: Path) -> list[Path]:
    """The files of a release, which are sound. Raises ConfigError, whose `files` they are, too."""
    try:
        from gateway.release.catalog import FOLDERS, load_catalog  # noqa: PLC0415 - wants what `[release]` installs
        from gateway.release.settings import load_release  # noqa: PLC0415
    except ModuleNotFoundError as error:
        message = f"checking a release needs {error.name}: pip install 'gray-gateway[release]'"
        raise ConfigError([Problem(str(config), 1, 1, message)]) from error
    loaded = load_release(config)
    files = [path for kind in FOLDERS for path in (loaded.files / kind).glob("*")]
    try:
        load_catalog(loaded.files, loaded.settings.targets)
    except ConfigError as error:
        raise ConfigError(list(error.problems), files) from error
    return files


def _is_release(path: Path) -> bool:
    """Whether a file is a configuration of the release server: no other one has targets."""
    try:
        return b"\ntargets:" in b"\n" + read_file(path)
    except OSError:
        return False
