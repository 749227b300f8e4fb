"""A collection of objects kept in step with the API server: list once, then watch.

https://kubernetes.io/docs/reference/using-api/api-concepts/#efficient-detection-of-changes
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable, Iterable, Mapping
from contextlib import aclosing
from typing import Any, Final

from gateway.daemons import keep_running
from gateway.kubernetes.client import METADATA, METADATA_LIST, OPENED, ApiClient, Object
from gateway.kubernetes.errors import ApiError

_log = logging.getLogger("gateway.kubernetes")

PAGE: Final = 500
"""Objects of one page of a list."""
FIRST_RETRY: Final = 0.2
LONGEST_RETRY: Final = 10.0
"""Seconds: bounds of the back-off, with full jitter."""


class Collection:
    """The objects at `path`, by uid, kept in step; `selector` (of labels) and `fields` leave some of them.

    `on_change(objects)` is called with those that came, changed or went. `problem` says why the collection may be old: None
    while it is in step. `keep` makes of an object what is kept of it; None leaves it out. `only_metadata` asks for no more.
    """

    def __init__(
        self,
        client: ApiClient,
        path: str,
        on_change: Callable[[list[Any]], None],
        *,
        keep: Callable[[Object], Any],
        selector: str = "",
        fields: str = "",
        only_metadata: bool = False,
        rng: random.Random | None = None,
    ) -> None:
        self._client = client
        self._path = path
        self._on_change = on_change
        self._keep = keep
        selectors = {"labelSelector": selector, "fieldSelector": fields}
        self._params = {key: text for key, text in selectors.items() if text}
        self._only_metadata = only_metadata
        self._rng = rng or random.Random()
        self._task: asyncio.Task[None] | None = None
        self._settled = asyncio.Event()
        self.objects: dict[str, Any] = {}
        self.problem: ApiError | None = None
        self.lists = 0
        """How often it was listed whole."""

    @property
    def is_known(self) -> bool:
        """Whether it was ever listed."""
        return self.lists > 0

    def start(self) -> None:
        """Begins; nothing happens if it has begun."""
        if self._task is None:
            self._task = keep_running(f"following {self._path}", self._run)

    async def settled(self) -> None:
        """Waits until it is in step, or has failed for the first time: raises ApiError then."""
        self.start()
        await self._settled.wait()
        if self.problem is not None:
            raise self.problem

    async def close(self) -> None:
        """Ends it."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        failures = 0
        version = ""
        while True:
            try:
                if not version:
                    version = await self._list()
                    self._in_step()
                    failures = 0
                version = await self._watch(version)
                failures = 0
            except ApiError as error:
                if error.is_expired:
                    version = ""  # too old to go on from: what changed in the meantime is found by comparing
                    if failures == 0:
                        failures = 1
                        continue
                self._failed(error)
                if error.status:
                    version = (
                        ""  # of a server that only was away it stays good: it, or its successor, goes on from there
                    )
                pause = self._rng.uniform(0, min(LONGEST_RETRY, FIRST_RETRY * 2**failures))
                failures = min(failures + 1, 16)
                await asyncio.sleep(FIRST_RETRY / 2 + pause)

    async def _list(self) -> str:
        """Lists it whole, page by page, and tells what differs from what was known; its resource version."""
        found: dict[str, Any] = {}
        params = {**self._params, "limit": str(PAGE)}
        accept = METADATA_LIST if self._only_metadata else "application/json"
        while True:
            page = await self._client.call("GET", self._path, params=params, accept=accept)
            metadata, items = page.get("metadata"), page.get("items")
            if not isinstance(metadata, dict) or not isinstance(metadata.get("resourceVersion"), str):
                raise ApiError(200, "BadResponse", f"GET {self._path}: a list without a resource version")
            for item in items if isinstance(items, list) else ():
                uid = _uid(item)
                kept = self._keep(item) if uid else None
                if kept is not None:
                    found[uid] = kept
            more = metadata.get("continue")
            if not more:
                break
            params["continue"] = str(more)
        changed = [
            *(kept for uid, kept in self.objects.items() if found.get(uid) != kept),
            *(kept for uid, kept in found.items() if self.objects.get(uid) != kept),
        ]
        self.objects = found
        self.lists += 1
        if changed:
            self._on_change(changed)
        return str(metadata["resourceVersion"])

    async def _watch(self, version: str) -> str:
        """Follows it from a resource version until the watch ends; the version to go on from."""
        accept = METADATA if self._only_metadata else "application/json"
        params = {**self._params, "resourceVersion": version}
        async with aclosing(self._client.watch(self._path, params, accept)) as events:
            async for kind, item in events:
                self._in_step()
                metadata = item.get("metadata")
                if isinstance(metadata, dict) and isinstance(metadata.get("resourceVersion"), str):
                    version = metadata["resourceVersion"]
                if kind not in (OPENED, "BOOKMARK"):
                    self._apply(kind, item)
        return version

    def _apply(self, kind: str, item: Object) -> None:
        uid = _uid(item)
        if not uid:
            return
        before = self.objects.get(uid)
        now = None if kind == "DELETED" else self._keep(item)
        if now is None:
            self.objects.pop(uid, None)
        else:
            self.objects[uid] = now
        if before != now:
            self._on_change([kept for kept in (before, now) if kept is not None])

    def _in_step(self) -> None:
        if self.problem is not None:
            _log.info("following %s again", self._path)
        was_settled = self._settled.is_set() and self.problem is None
        self.problem = None
        self._settled.set()
        if not was_settled:
            self._on_change([])

    def _failed(self, error: ApiError) -> None:
        is_news = self.problem is None or (self.problem.status, self.problem.reason) != (error.status, error.reason)
        self.problem = error
        self._settled.set()
        if is_news:
            self._on_change([])


def _uid(item: Mapping[str, Any]) -> str:
    metadata = item.get("metadata") if isinstance(item, dict) else None
    uid = metadata.get("uid") if isinstance(metadata, dict) else None
    return uid if isinstance(uid, str) else ""


def labels_of(item: Object) -> Mapping[str, str]:
    """The labels of an object; what is not text is left out."""
    metadata: Any = item.get("metadata")
    labels = metadata.get("labels") if isinstance(metadata, dict) else None
    pairs: Iterable[tuple[Any, Any]] = labels.items() if isinstance(labels, dict) else ()
    return {key: value for key, value in pairs if isinstance(key, str) and isinstance(value, str)}
