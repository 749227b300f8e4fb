"""The embedded registry as a running thing: store, HTTP server, expiry, and configs on disk."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from aiohttp import web

from gateway.background import keep_running
from gateway.errors import StartError
from gateway.registry.embedded.api import Api
from gateway.registry.embedded.handover import restore
from gateway.registry.embedded.store import ServiceKey, Store

_log = logging.getLogger("gateway.registry")

TICK = 1.0
"""Seconds between two looks at the leases. (Nacos looks every 5; one is cheap here and tells sooner.)"""
WARMUP = 15.0
"""Seconds that lists are refused after a start: within this time every living instance has sent a heartbeat, learned that
it is unknown and registered again. A list given out before would take the missing ones out of service."""


class EmbeddedRegistry:
    """Serves a registry on `host:port` (port 0: a free one). `data` is a directory that keeps config values."""

    def __init__(self, host: str, port: int, *, warmup: float = WARMUP, data: Path | None = None) -> None:
        self._host = host
        self._port = port
        self._warmup = warmup
        self._file = None if data is None else data / "configs.json"
        self._warm_at = 0.0
        self._runner: web.AppRunner | None = None
        self._task: asyncio.Task[None] | None = None
        self._changes: dict[ServiceKey, asyncio.Event] = {}
        self.store = Store()

    @property
    def address(self) -> str:
        """Where it serves."""
        return f"{self._host}:{self._port}"

    @property
    def is_warming(self) -> bool:
        """Whether instances may still be missing because they have not registered again yet."""
        return asyncio.get_running_loop().time() < self._warm_at

    async def start(self) -> None:
        """Begins to serve. Raises StartError where the address is taken or the data cannot be read."""
        self.open()
        await self.listen()

    def open(self) -> None:
        """Begins to keep what is registered, for this process alone. Raises StartError where the data cannot be read."""
        loop = asyncio.get_running_loop()
        self._load()
        self._warm_at = loop.time() + self._warmup
        self._api = Api(self.store, lambda: self.is_warming, loop.time)
        self.store.service_changed = self._service_changed
        self.store.config_changed = self._config_changed
        self._task = keep_running("expiring instances", self._expire)
        if self._warmup:
            _log.info("lists are refused for %g s while instances register again", self._warmup)

    async def listen(self, sock: socket.socket | None = None) -> None:
        """Begins to serve others, on a socket that listens already or on its own; raises StartError where it has none."""
        self._runner = web.AppRunner(self._api.app(), access_log=None, handle_signals=False, shutdown_timeout=2.0)
        await self._runner.setup()
        try:
            runner = self._runner
            await (web.TCPSite(runner, self._host, self._port) if sock is None else web.SockSite(runner, sock)).start()
        except OSError as error:
            await self._runner.cleanup()
            detail = error.strerror or str(error)
            raise StartError(f"cannot listen on {self.address} for the registry: {detail}") from error
        self._port = self._runner.addresses[0][1]

    def know(self, state: Mapping[str, Any]) -> None:
        """Takes what another process knew (`handover.dump`) for what is registered: nothing has to register again."""
        restore(self.store, state, asyncio.get_running_loop().time())
        self._warm_at = 0.0

    async def stop_listening(self) -> None:
        """Stops serving others."""
        runner, self._runner = self._runner, None
        if runner is not None:
            self._api.close()
            await runner.cleanup()

    async def stop(self) -> None:
        """Stops serving."""
        if self._task is not None:
            self._task.cancel()
        await self.stop_listening()

    def next_change(self, key: ServiceKey) -> asyncio.Event:
        """What is set when something about a service changes for the next time. Get it before reading the service."""
        return self._changes.setdefault(key, asyncio.Event())

    def _service_changed(self, key: ServiceKey) -> None:
        changed = self._changes.pop(key, None)
        if changed is not None:
            changed.set()

    async def _expire(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(TICK)
            self.store.expire(loop.time())

    def _config_changed(self, _: ServiceKey) -> None:
        self._save()
        self._api.config_changed()

    def _load(self) -> None:
        if self._file is None or not self._file.exists():
            return
        try:
            for entry in json.loads(self._file.read_text(encoding="utf-8")):
                key = ServiceKey(entry["namespace"], entry["group"], entry["dataId"])
                self.store.publish(key, entry["content"], entry["type"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise StartError(f"cannot read the registry's configs from {self._file}: {error}") from error

    def _save(self) -> None:
        if self._file is None:
            return
        entries = [
            {
                "namespace": key.namespace,
                "group": key.group,
                "dataId": key.name,
                "type": config.kind,
                "content": config.content,
            }
            for key, config in sorted(self.store.configs().items())
        ]
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            new = self._file.with_suffix(".tmp")
            descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)  # values may be secrets
            with os.fdopen(descriptor, "w", encoding="utf-8") as output:
                json.dump(entries, output, ensure_ascii=False, indent=1)
                output.flush()
                os.fsync(output.fileno())
            new.replace(self._file)
        except OSError as error:
            _log.error("cannot save configs to %s: %s", self._file, error)
