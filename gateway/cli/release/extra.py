"""What `gray-gateway[release]` installs, and who needs it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from gateway.errors import StartError


@contextmanager
def needs_extra() -> Iterator[None]:
    """Raises StartError if a library is missing that the release workflow needs."""
    try:
        yield
    except ModuleNotFoundError as error:
        raise StartError(f"the release workflow needs {error.name}: pip install 'gray-gateway[release]'") from error
