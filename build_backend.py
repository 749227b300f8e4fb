"""setuptools' build backend, which asks for mypy only where the hot modules are to be compiled (GATEWAY_COMPILE=1)."""

import os
from contextlib import contextmanager

from setuptools import build_meta
from setuptools.build_meta import *  # noqa: F403

COMPILER = ["mypy[mypyc]>=2,<3", "types-PyYAML"]
SWITCH = "GATEWAY_COMPILE"


@contextmanager
def _not_compiling():
    """Setuptools runs setup.py for everything it is asked; only building the wheel is worth compiling for."""
    switch = os.environ.pop(SWITCH, None)
    try:
        yield switch == "1"
    finally:
        if switch is not None:
            os.environ[SWITCH] = switch


def get_requires_for_build_wheel(config_settings=None):
    """What the build needs beside setuptools."""
    with _not_compiling() as compiles:
        return [*build_meta.get_requires_for_build_wheel(config_settings), *(COMPILER if compiles else [])]


def prepare_metadata_for_build_wheel(metadata_directory, config_settings=None):
    """The wheel's metadata."""
    with _not_compiling():
        return build_meta.prepare_metadata_for_build_wheel(metadata_directory, config_settings)
