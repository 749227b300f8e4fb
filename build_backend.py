"""setuptools' build backend, which asks for mypy only where the hot modules are to be compiled (GATEWAY_COMPILE=1).

Setuptools runs setup.py for everything it is asked, but only a wheel is worth compiling for: a source archive has no use
for it, and beside the sources of an editable install compiled modules would hide every later edit.
"""

import os
import shutil
from contextlib import contextmanager
from functools import wraps
from pathlib import Path

from setuptools import build_meta

COMPILER = ["mypy[mypyc]>=2,<3", "types-PyYAML"]
SWITCH = "GATEWAY_COMPILE"


@contextmanager
def _not_compiling():
    switch = os.environ.pop(SWITCH, None)
    try:
        yield switch == "1"
    finally:
        if switch is not None:
            os.environ[SWITCH] = switch


def _plain(hook):
    @wraps(hook)
    def run(*arguments, **options):
        with _not_compiling():
            return hook(*arguments, **options)

    return run


def get_requires_for_build_wheel(config_settings=None):
    """What the build needs beside setuptools."""
    with _not_compiling() as compiles:
        return [*build_meta.get_requires_for_build_wheel(config_settings), *(COMPILER if compiles else [])]


def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    """The wheel, compiled where the switch says so."""
    # Setuptools packs whatever an earlier build left here, modules deleted or no longer compiled since then included.
    for left in Path("build").glob("lib*"):
        shutil.rmtree(left)
    return build_meta.build_wheel(wheel_directory, config_settings, metadata_directory)


prepare_metadata_for_build_wheel = _plain(build_meta.prepare_metadata_for_build_wheel)
get_requires_for_build_editable = _plain(build_meta.get_requires_for_build_editable)
prepare_metadata_for_build_editable = _plain(build_meta.prepare_metadata_for_build_editable)
build_editable = _plain(build_meta.build_editable)
get_requires_for_build_sdist = _plain(build_meta.get_requires_for_build_sdist)
build_sdist = _plain(build_meta.build_sdist)
