"""The state directory: what outlives a restart, and is nobody's business but the gateway's.

Rules say who is in which lane, copies of registries may hold secrets in metadata, and what is written there is trusted at
the next start. So its owner alone may look and write.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Final

from gateway.files import make_private

_log = logging.getLogger("gateway.control")

HISTORY: Final = "history"
REMOTE: Final = "remote"
REGISTRY: Final = "registry"
ROUTES: Final = "routes"
LAST_GOOD: Final = "last-good"
DRAINS: Final = "drains"
_ROOMS: Final = frozenset({HISTORY, REMOTE, REGISTRY, ROUTES, LAST_GOOD, DRAINS})


def open_state(folder: Path) -> None:
    """Makes the directory with its rooms, and takes from others what they may read there.

    One that holds other people's things too keeps its own mode; the rooms are closed all the same. What cannot be changed
    (a volume that belongs to somebody else) is logged: a gateway that cannot remember still routes.
    """
    try:
        if not folder.exists() or {path.name for path in folder.iterdir()} <= _ROOMS:
            make_private(folder)
        for room in _ROOMS:
            make_private(folder / room)
    except OSError as error:
        _log.warning("cannot make the state directory %s private: %s", folder, error)
