"""The config values of the embedded registry on disk: one file, replaced whole, its owner's alone (values may be secrets)."""

from __future__ import annotations

import asyncio
import json
import logging
from pathlib import Path
from typing import Any

from gateway.errors import StartError
from gateway.files import PRIVATE, read_file, write_file
from gateway.registry.embedded.store import MAX_ALL_CONFIGS, Refused, ServiceKey, Store

_log = logging.getLogger("gateway.registry")

MAX_FILE = 6 * MAX_ALL_CONFIGS
"""Bytes of the file: JSON may need six for one."""


class ConfigFile:
    """Keeps what a store holds in `file`."""

    def __init__(self, store: Store, file: Path) -> None:
        self._store = store
        self._file = file
        self._changes = 0
        self._saved = 0
        self._saving = asyncio.Lock()

    def load(self) -> None:
        """Puts what the file holds into the store. Raises StartError."""
        try:
            content = read_file(self._file, MAX_FILE)
            for entry in json.loads(content):
                key = ServiceKey(entry["namespace"], entry["group"], entry["dataId"])
                self._store.publish(key, entry["content"], entry["type"])
        except FileNotFoundError:
            return
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError, Refused) as error:
            raise StartError(f"cannot read the registry's configs from {self._file}: {error}") from error

    def changed(self) -> None:
        """Takes note of a change in the store."""
        self._changes += 1

    async def saved(self) -> None:
        """Returns when all changes so far are on disk, or cannot be written, which is told in the log."""
        wanted = self._changes
        async with self._saving:
            if self._saved >= wanted:
                return  # somebody else's turn has taken ours along
            self._saved = self._changes
            entries: list[dict[str, Any]] = [
                {
                    "namespace": key.namespace,
                    "group": key.group,
                    "dataId": key.name,
                    "type": config.kind,
                    "content": config.content,
                }
                for key, config in sorted(self._store.configs().items())
            ]
            try:
                await asyncio.to_thread(lambda: write_file(self._file, json.dumps(entries, indent=1), PRIVATE))
            except OSError as error:
                _log.error("cannot save configs to %s: %s", self._file, error)
