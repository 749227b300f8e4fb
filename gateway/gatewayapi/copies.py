"""The copy of the routes in force: a gateway that starts while the API server is away routes by what it last knew."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Final

from pydantic import TypeAdapter, ValidationError

from gateway.files import MAX_DATA, PRIVATE, read_file, write_file
from gateway.routing.plans import RouteSet

_log = logging.getLogger("gateway.kubernetes")

_ADAPTER: Final = TypeAdapter(RouteSet)


def read_copy(path: Path) -> RouteSet | None:
    """What was kept; None if there is nothing that can be used: a copy must never keep a gateway from starting."""
    try:
        return _ADAPTER.validate_json(read_file(path, MAX_DATA))
    except FileNotFoundError:
        return None
    except (OSError, ValidationError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is of another version"
        _log.warning("the copy of routes in %s is not used: %s", path, reason)
        return None


def write_copy(path: Path, routes: RouteSet) -> None:
    """Keeps routes. What cannot be written is logged."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_file(path, _ADAPTER.dump_json(routes).decode(), PRIVATE)
    except OSError as error:
        _log.warning("cannot keep a copy of the routes in %s: %s", path, error.strerror or error)
