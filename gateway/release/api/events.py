"""Changes as they happen: server-sent events (https://html.spec.whatwg.org/#server-sent-events)."""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress

from aiohttp import web

from gateway.release.ledger import Ledger
from gateway.release.store import Store, StoreError

KEEP_ALIVE = 15.0
"""Seconds between two comments on an idle stream, so that each end notices if the other has gone."""


class Events:
    """Streams of what a ledger changes and a store keeps."""

    def __init__(self, store: Store, ledger: Ledger) -> None:
        self._store = store
        self._ledger = ledger
        self._closing = asyncio.Event()

    def close(self) -> None:
        """Ends every stream."""
        self._closing.set()

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """Lines of the audit log, and each order whenever it changes. `Last-Event-ID` continues after a line."""
        given = request.headers.get("Last-Event-ID", "")
        after = int(given) if given.isascii() and given.isdigit() and len(given) < 16 else await self._store.last_line()
        stream = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await stream.prepare(request)
        # The client has gone, or the database: then it comes back, and goes on after the last line that it has had.
        with suppress(ConnectionError, StoreError):
            await self._write(stream, after)
        return stream

    async def _write(self, stream: web.StreamResponse, after: int) -> None:
        seen: dict[int, int] = {}
        while not self._closing.is_set():
            heard = self._ledger.heard()
            for order in list(self._ledger.active.values()):
                if seen.get(order.id) != order.revision:
                    seen[order.id] = order.revision
                    await stream.write(_event("order", json.dumps(order.view())))
            for number in set(seen) - set(self._ledger.active):  # it has ended
                del seen[number]
                ended = await self._store.order(number)
                if ended is not None:
                    await stream.write(_event("order", json.dumps(ended.view())))
            for line in await self._store.audit(after):
                after = line.id
                await stream.write(_event("audit", json.dumps(line.body()), line.id))
            waits = [asyncio.ensure_future(heard.wait()), asyncio.ensure_future(self._closing.wait())]
            ready, _ = await asyncio.wait(waits, timeout=KEEP_ALIVE, return_when=asyncio.FIRST_COMPLETED)
            for wait in waits:
                wait.cancel()
            if not ready:
                await stream.write(b": nothing new\n\n")


def _event(name: str, data: str, number: int | None = None) -> bytes:
    head = "" if number is None else f"id: {number}\n"
    return f"{head}event: {name}\ndata: {data}\n\n".encode()
