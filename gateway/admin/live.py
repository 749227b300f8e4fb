"""The handlers of live data: request records, the stream of them, chains, and what other programs deliver."""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import Iterator
from dataclasses import asdict
from itertools import chain
from typing import Any, Final

from aiohttp import web

from gateway.admin.endpoints import WORK
from gateway.admin.lanetext import YAML
from gateway.admin.view import Explainer
from gateway.errors import ProtocolError
from gateway.live.chains import beside, chain_of
from gateway.live.delivery import unpack
from gateway.live.evidence import NoEvidence, explain_record
from gateway.live.filters import FilterError, RecordFilter
from gateway.live.losses import losses
from gateway.live.records import Records
from gateway.live.ruletest import rule_test_of
from gateway.live.store import Stored
from gateway.live.topology import topology
from gateway.web.problems import Rejected, shown

DEFAULT_LIMIT: Final = 100
DEFAULT_SECONDS: Final = 60.0
MOST_SECONDS: Final = 86400
"""How far a topology looks back."""
MOST_STREAMS: Final = 64
"""Clients that follow the records at the same time."""
SLICE: Final = 100
"""Records that are written to a client before it is looked how many it has missed."""
KEEP_ALIVE: Final = 15.0
"""Seconds without a record after which a comment says that the stream is alive."""
PATIENCE: Final = 30.0
"""Seconds that a client may take nothing; then it is let go, and comes back with `Last-Event-ID`."""
RETRY: Final = 1000
"""Milliseconds after which a browser comes back."""


class LiveApi:
    """Shows `records`; `explainer` is None if the role matches no lanes."""

    def __init__(self, records: Records, explainer: Explainer | None = None) -> None:
        self._records = records
        self._explainer = explainer
        self._streams = 0

    async def list_requests(self, request: web.Request, _: Any) -> web.Response:
        """The latest records, the newest first."""
        given = dict(request.query)
        limit = _limit(given.pop("limit", ""), self._records.settings.size)
        wanted = _filter(given)
        self._check_enabled()
        found: list[dict[str, object]] = []
        for stored in reversed(self._records.own):
            if len(found) == limit:
                break
            if wanted.takes(stored):
                found.append(stored.as_dict())
        return web.json_response({"requests": found, "last": self._records.own.last})

    async def stream(self, request: web.Request, _: Any) -> web.StreamResponse:
        """Records as they come, as server-sent events (https://html.spec.whatwg.org/multipage/server-sent-events.html)."""
        wanted = _filter(request.query)
        cursor = _last_event(request.headers.get("Last-Event-ID", ""), self._records.own.last)
        self._check_enabled()
        if self._streams >= MOST_STREAMS:
            raise Rejected(503, "too_many_streams", f"{MOST_STREAMS} clients follow the requests already")
        self._streams += 1
        try:
            response = web.StreamResponse(headers={"Content-Type": "text/event-stream", "X-Accel-Buffering": "no"})
            await response.prepare(request)
            if request.method != "HEAD":
                await self._follow(response, wanted, cursor)
        except (ConnectionError, TimeoutError):
            pass  # the client is gone, or reads nothing
        finally:
            self._streams -= 1
        return response

    async def explain(self, request: web.Request, _: Any) -> web.Response:
        """Why a recorded request went where it went, as far as that can still be found out."""
        stored = self._find(request)
        explainer = self._explainer
        if explainer is None:
            raise Rejected(404, "no_lanes", "a sidecar has no lanes to explain: ask the entry gateway")
        masked = self._records.settings.mask

        def explained() -> dict[str, object]:
            assert explainer is not None
            return explain_record(stored, explainer, masked)

        try:
            return web.json_response(await request.app[WORK].run(explained))
        except NoEvidence as error:
            raise Rejected(409, "no_evidence", str(error)) from error
        except ProtocolError as error:
            raise Rejected(409, "no_evidence", f"the gateway would refuse this request now: {error.detail}") from error

    async def rule_test(self, request: web.Request, _: Any) -> web.Response:
        """A recorded request as a rule test; the file alone if YAML is asked for."""
        stored = self._find(request)
        explainer = self._explainer
        if explainer is None:
            raise Rejected(404, "no_lanes", "a sidecar has no lanes to test: ask the entry gateway")
        rules, around, masked = explainer.rules, explainer.around, self._records.settings.mask
        try:
            found = await request.app[WORK].run(rule_test_of, stored, rules, around, explainer.reader, masked)
        except NoEvidence as error:
            raise Rejected(409, "no_evidence", str(error)) from error
        if YAML in request.headers.get("Accept", ""):
            return web.Response(text=found.yaml, content_type=YAML)
        return web.json_response(asdict(found))

    async def chain(self, request: web.Request, _: Any) -> web.Response:
        """The path of the requests of one trace."""
        trace = request.match_info["trace_id"]
        wanted = RecordFilter(trace=trace)
        found = [item for item in self._all_stored() if wanted.takes(item)]
        if not found:
            raise Rejected(404, "no_such_trace", f"there is no record of the trace {trace}; it may be too old")
        hops = chain_of(found)
        body = {"trace_id": trace, "path": [hop.path() for hop in hops], "hops": [hop.as_dict() for hop in hops]}
        return web.json_response(body)

    async def beside_chain(self, request: web.Request, _: Any) -> web.Response:
        """The requests with a tag, or that lost one, which went on without the trace while it lasted."""
        found = beside(self._all_stored(), request.match_info["trace_id"])
        return web.json_response({"requests": [stored.as_dict() for stored in found]})

    def _all_stored(self) -> Iterator[Stored]:
        self._check_enabled()
        return chain(self._records.own, self._records.collected)

    async def topology(self, request: web.Request, _: Any) -> web.Response:
        """Which services called which of late."""
        self._check_enabled()
        unknown = set(request.query) - {"lane", "seconds"}
        if unknown:
            raise Rejected(400, "bad_filter", f"there is no filter {shown(min(unknown))}; there are lane, seconds")
        now = time.time()
        began = now - _seconds(request.query.get("seconds", ""))
        stores = (self._records.own, self._records.collected)
        # Where older records had to make room, what is left says nothing of the time before.
        began = max([began, *(next(iter(store)).record.time for store in stores if store.is_full)])
        found = [stored for store in stores for stored in store]
        lane = request.query.get("lane", "")
        return web.json_response(await request.app[WORK].run(topology, found, began, now, lane))

    async def lost_tags(self, request: web.Request, _: Any) -> web.Response:
        """Which calls lost the tag of their request of late."""
        began = time.time() - _seconds(request.query.get("seconds", ""))
        return web.json_response({"lost": losses(self._all_stored(), began)})

    async def take(self, _: web.Request, body: Any) -> web.Response:
        """Takes what another program delivers."""
        self._check_enabled()
        try:
            delivery = unpack(body)
        except ValueError as error:
            raise Rejected(400, "bad_records", str(error)) from error
        self._records.collected.add(delivery.reporter, delivery.records)
        return web.json_response({"taken": len(delivery.records)})

    async def _follow(self, response: web.StreamResponse, wanted: RecordFilter, cursor: int) -> None:
        store = self._records.own
        await _write(response, f"retry: {RETRY}\n\n")
        while not store.is_closed:
            gone, batch = store.after(cursor, SLICE)
            if gone != 0:
                # None: of another program, before a restart; nobody can count them.
                await _write(response, f"event: lost\ndata: {json.dumps({'count': gone})}\n\n")
                cursor = batch[0].id - 1 if batch else store.last
            events = [_event(stored) for stored in batch if wanted.takes(stored)]
            if events:
                await _write(response, "".join(events))
            if batch:
                cursor = batch[-1].id
                continue
            try:
                async with asyncio.timeout(KEEP_ALIVE):
                    await store.wait(cursor)
            except TimeoutError:
                await _write(response, ": keep-alive\n\n")

    def _find(self, request: web.Request) -> Stored:
        self._check_enabled()
        number = request.match_info["id"]
        stored = self._records.own.find(int(number))
        if stored is None:
            raise Rejected(404, "no_such_request", f"there is no record {number}; it may be too old")
        return stored

    def _check_enabled(self) -> None:
        if not self._records.settings.enabled:
            raise Rejected(404, "records_off", "no requests are kept: `records.enabled` is false")


async def _write(response: web.StreamResponse, text: str) -> None:
    """Raises TimeoutError if the client does not read. At most one slice waits for it."""
    async with asyncio.timeout(PATIENCE):
        await response.write(text.encode("ascii"))


def _event(stored: Stored) -> str:
    return f"id: {stored.id}\nevent: request\ndata: {json.dumps(stored.as_dict())}\n\n"


def _filter(given: Any) -> RecordFilter:
    try:
        return RecordFilter.of(given)
    except FilterError as error:
        raise Rejected(400, "bad_filter", str(error)) from error


def _limit(text: str, most: int) -> int:
    if not text:
        return min(DEFAULT_LIMIT, most)
    if re.fullmatch(r"\d{1,9}", text, re.ASCII) is None or not 1 <= int(text) <= most:
        raise Rejected(400, "bad_filter", f"limit is 1 to {most}, not {shown(text)}")
    return int(text)


def _seconds(text: str) -> float:
    if not text:
        return DEFAULT_SECONDS
    if re.fullmatch(r"\d{1,5}", text, re.ASCII) is None or not 1 <= int(text) <= MOST_SECONDS:
        raise Rejected(400, "bad_filter", f"seconds is 1 to {MOST_SECONDS}, not {shown(text)}")
    return float(text)


def _last_event(text: str, default: int) -> int:
    """Where a client wants to go on; one that begins gets what comes from now on."""
    if not text:
        return default
    if re.fullmatch(r"\d{1,16}", text, re.ASCII) is None:
        raise Rejected(400, "bad_filter", f"Last-Event-ID is the id of an event, not {shown(text)}")
    return int(text)
