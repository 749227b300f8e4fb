"""The disk copy of what registries said: a gateway that starts while its registry is down routes by what it last knew.

One file a service, replaced whole, readable by its owner alone (metadata may hold secrets). What cannot be read, is of
another registry or too old is ignored with a line in the log: a copy must never keep a gateway from starting.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from gateway.daemons import keep_running
from gateway.files import MAX_DATA, PRIVATE, read_file, write_file
from gateway.instance import Instance

_log = logging.getLogger("gateway.registry")

SCHEMA: Final = 1
DEBOUNCE: Final = 1.0
"""Seconds that changes are gathered before a file is written."""
MAX_AGE: Final = 24 * 3600.0
"""Seconds after which a copy is too old to be routed by."""


class Disk:
    """Copies of one registry's lists in a directory. `key` distinguishes registries. Writing is off the loop."""

    def __init__(self, folder: Path, key: str, wall_clock: Callable[[], float] = time.time) -> None:
        self._folder = folder
        self._key = key
        self._wall_clock = wall_clock
        self._pending: dict[str, tuple[Instance, ...]] = {}
        self._task: asyncio.Task[None] | None = None

    def load(self, service: str) -> tuple[Instance, ...]:
        """What was last known of a service; nothing if there is no copy that can be used."""
        path = self._path(service)
        try:
            content = json.loads(read_file(path, MAX_DATA))
            rows = content["instances"]
            if content["schema"] != SCHEMA or content["registry"] != self._key or content["service"] != service:
                raise ValueError("it is from another registry or version")
            if content["sha256"] != _digest(rows):
                raise ValueError("its content does not match its digest")
            age = self._wall_clock() - float(content["saved_at"])
            if age > MAX_AGE:
                raise ValueError(f"it is {age / 3600:.0f} hours old")
            return tuple(Instance(*row) for row in rows)
        except FileNotFoundError:
            return ()
        except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
            _log.warning("the copy of service %s in %s is not used: %s", service, path, error)
            return ()

    def save(self, service: str, instances: tuple[Instance, ...]) -> None:
        """Writes a copy, a moment later."""
        self._pending[service] = instances
        if self._task is None or self._task.done():
            self._task = keep_running("keeping what registries said", self._write_later)

    async def _write_later(self) -> None:
        while self._pending:
            await asyncio.sleep(DEBOUNCE)
            await self._write()

    async def _write(self) -> None:
        pending, self._pending = self._pending, {}
        try:
            await asyncio.to_thread(self._write_all, pending)
        except BaseException:
            # Whether it failed or nobody waits for it any more: it is not known to be written.
            self._pending = {**pending, **self._pending}
            raise

    def _write_all(self, pending: dict[str, tuple[Instance, ...]]) -> None:
        for service, instances in pending.items():
            rows: list[Any] = [instance.as_row() for instance in instances]
            content = {
                "schema": SCHEMA,
                "registry": self._key,
                "service": service,
                "saved_at": self._wall_clock(),
                "sha256": _digest(rows),
                "instances": rows,
            }
            try:
                write_file(self._path(service), json.dumps(content), PRIVATE)
            except OSError as error:
                _log.warning("cannot save a copy of service %s: %s", service, error)

    def _path(self, service: str) -> Path:
        name = quote(service, safe="")
        if len(name) > 200:  # file systems have names of 255 bytes at most
            name = f"{name[:120]}-{hashlib.sha256(service.encode()).hexdigest()[:16]}"
        return self._folder / f"{name}.json"

    async def close(self) -> None:
        """Writes what is not written yet."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        if self._pending:
            await self._write()


def _digest(rows: Any) -> str:
    return hashlib.sha256(json.dumps(rows, sort_keys=True).encode()).hexdigest()
