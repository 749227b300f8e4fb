"""The files that the demo releases by: `config/release` of the checkout, or what a wheel installed of it."""

from __future__ import annotations

import shutil
import sysconfig
from pathlib import Path

from gateway.demo.processes import ProcessFailed


def copy_files(folder: Path) -> None:
    """Copies them to a folder, where they are not there yet. Raises ProcessFailed where they are missing."""
    if folder.exists():
        return
    beside = Path(__file__).parents[2] / "config" / "release"
    installed = Path(sysconfig.get_path("data")) / "share" / "gray-gateway" / "release"
    for source in (beside, installed):
        if source.is_dir():
            shutil.copytree(source, folder)
            return
    raise ProcessFailed(f"the files of the demo are missing: {installed}")
