"""Sends the copies of requests to the lanes that mirror, when the originals are over, and compares the responses."""

from __future__ import annotations

import asyncio
import time
import zlib
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from random import Random
from typing import Any, Final

from gateway import hop
from gateway.errors import ProtocolError
from gateway.grpc.call import is_one_message
from gateway.http.chunked import ChunkedReader
from gateway.http.masking import Mask
from gateway.http.request import Request
from gateway.http.response import ResponseReader
from gateway.instance import Instance
from gateway.live.comparing import MAX_TEXT, Answer, Difference, differences
from gateway.printable import printable
from gateway.proxy.copies import MAX_RESPONSE, Copies, Copy
from gateway.proxy.copying import CopyExchange
from gateway.proxy.origin import Exhausted, NotConnected, Origin
from gateway.proxy.origins import Origins
from gateway.proxy.patience import comes_within
from gateway.proxy.request_body import RequestBody
from gateway.routing.carriers import Carriers
from gateway.routing.snapshot import Snapshot
from gateway.rules.mirrors import SAFE
from gateway.telemetry.tracecontext import ID_FIELDS
from gateway.telemetry.traceparents import TraceParents

SENDERS: Final = 8
"""Copies that are under way at a time."""
SAMPLES: Final = 50
"""Requests with differences that are remembered."""
CONNECT: Final = 2.0
ANSWER: Final = 10.0
"""Seconds for a connection, for a response, and for which a copy may wait for its turn."""
AWAY: Final = 1.0
"""Seconds for which an instance that could not be reached gets no copies."""
REST: Final = 4
"""How many times as long as it has compared two responses the thread that does it rests."""
_FRAMING: Final = frozenset({b"content-length", b"transfer-encoding"})
_DROPPED: Final = frozenset(
    {b"traceparent", b"tracestate", b"x-b3-spanid", b"x-b3-parentspanid", b"x-datadog-parent-id", b"grpc-trace-bin"}
    | {hop.FIELD, b"expect"}
    | {field.name for field in ID_FIELDS}
)
"""Fields of the original that a copy does not have: with its ids, what it leads to would be taken for the original's."""


class Mirrors:
    """Of one process. `samples` are the latest copies whose response was different, as plain values.

    `snapshot` gives what is routed by now, `carriers` carry the tag; copies go by `origins`, and `reader` reads the responses.
    `mask` says what is secret in what samples show.
    """

    def __init__(
        self,
        copies: Copies,
        *,
        snapshot: Callable[[], Snapshot],
        carriers: Carriers,
        origins: Origins,
        reader: ResponseReader,
        mask: Mask,
        random: Random,
    ) -> None:
        self.samples: deque[dict[str, Any]] = deque(maxlen=SAMPLES)
        self._copies = copies
        self._snapshot = snapshot
        self._carriers = carriers
        self._origins = origins
        self._reader = reader
        self._mask = mask
        self._traceparents = TraceParents(random)
        self._sending: set[asyncio.Task[None]] = set()
        # Two long bodies take long to compare, and the event loop is the originals'. So is most of the interpreter's time.
        self._thread = ThreadPoolExecutor(1, "comparing")
        self._rests_until = 0.0
        self._away: dict[str, float] = {}  # addresses, and until when they get no copies

    async def run(self) -> None:
        """Never returns."""
        try:
            await self._follow()
        finally:
            for task in self._sending:
                task.cancel()
            await asyncio.gather(*self._sending, return_exceptions=True)
            self._thread.shutdown(wait=False, cancel_futures=True)

    async def _follow(self) -> None:
        copies = self._copies
        while True:
            await copies.is_wanted.wait()
            copies.is_wanted.clear()
            while copies.waiting:
                if len(self._sending) >= SENDERS:
                    await asyncio.wait(self._sending, return_when=asyncio.FIRST_COMPLETED)
                copy = copies.waiting.pop(0)
                if time.monotonic() - copy.ended_at > ANSWER:
                    copies.done(copy, "dropped")
                    continue
                task = asyncio.create_task(self._mirror(copy))
                self._sending.add(task)
                task.add_done_callback(self._sending.discard)

    async def _mirror(self, copy: Copy) -> None:
        result = "failed"
        try:
            # By what is true now, and not when the original came: the lane may be closed since, its instance gone.
            instance = self._instance(copy)
            if instance is None:
                result = "skipped"
                return
            request, body = self._request(copy, instance)
            if request.is_grpc and not is_one_message(b"" if body is None else body.kept):
                result = "skipped"  # sent all at once, a stream is another call
                return
            origin = self._origins.of(instance, copy.service, request)
            # Half of the connections is for requests that somebody waits for, and to connect in vain costs more than to send.
            if origin.is_half_used or time.monotonic() < self._away.get(instance.address, 0.0):
                result = "dropped"
                return
            try:
                sent = await self._send(origin, request, body)
            except NotConnected:
                self._note_away(instance)
                return
            if sent is None:
                return
            compared = await asyncio.get_running_loop().run_in_executor(self._thread, self._compare, copy, sent)
            if compared is None:
                result = "skipped"
                return
            result = "different" if compared else "same"
            if compared:
                self.samples.append(self._sample(copy, instance, compared))
        except Exhausted:
            pass  # not for the instance: this program is short of file descriptors
        finally:
            self._copies.done(copy, result)

    def _note_away(self, instance: Instance) -> None:
        now = time.monotonic()
        self._away = {address: until for address, until in self._away.items() if now < until}
        self._away[instance.address] = now + AWAY

    def _instance(self, copy: Copy) -> Instance | None:
        snapshot = self._snapshot()
        mirrors = snapshot.rules.mirrors
        view = snapshot.services.get(copy.service)
        pool = None if view is None else view.pools.get(copy.lane.tag)
        if mirrors is None or not mirrors.has(copy.lane.lane) or pool is None:
            return None
        return pool.pick()

    def _request(self, copy: Copy, instance: Instance) -> tuple[Request, RequestBody | None]:
        """The copy: the original, less its ids, marked with the lane's tag and as a copy. Its body is framed anew."""
        content = copy.body or b""
        if copy.is_framed:
            content, _ = ChunkedReader(decode=True).feed(content)
        lines = copy.head[:-4].split(b"\r\n")
        first = lines.pop(0)
        method, target, _ = first.split(b" ")
        request = Request(b"", method.decode("ascii"), target, 1)
        kept = [first]
        is_framed = False
        for line in lines:
            name, _, value = line.partition(b":")
            name = name.lower()
            if name == b"baggage":
                request.baggage.append(value.strip(b" \t"))
            elif name in _FRAMING:
                is_framed = True
            elif name not in _DROPPED:
                kept.append(line)
        own = [self._traceparents.line(sampled=False), instance.target_line]
        if is_framed:
            own.append(b"Content-Length: %d\r\n" % len(content))
        terms = self._snapshot().rules.terms
        self._carriers.write(request, copy.lane.tag, terms.digest, own, is_copy=True)
        request.head = b"\r\n".join(kept) + b"\r\n" + b"".join(own) + b"\r\n"
        request.line_end = len(first)
        if not content:
            return request, None
        request.body = len(content)
        body = RequestBody(len(content), 0.0)
        body.begin(content, 0)
        return request, body

    async def _send(self, origin: Origin, request: Request, body: RequestBody | None) -> CopyExchange | None:
        """Sends a copy; None if there is no whole response to it."""
        loop = asyncio.get_running_loop()
        is_new = False
        while True:
            upstream = await origin.acquire(CONNECT, is_new)
            if upstream.is_lost:
                return None
            exchange = CopyExchange(upstream, request, self._reader, loop.create_future())
            exchange.start(request.head, body)
            try:
                await comes_within(exchange.done, ANSWER)
            finally:
                exchange.stop()
            if not exchange.is_stale or is_new or request.method not in SAFE:
                break
            is_new = True  # the instance had closed the connection, by its own timeout most likely
        response = exchange.response
        if not exchange.is_whole or response is None or hop.STATUS_OF.get(response.told) == response.status:
            return None
        return exchange

    def _compare(self, copy: Copy, sent: CopyExchange) -> list[Difference] | None:
        """See `_compared`. In a thread, which then rests for longer than it has worked: copies that come faster are dropped."""
        began = time.monotonic()
        if began < self._rests_until:
            time.sleep(self._rests_until - began)
            began = time.monotonic()
        try:
            return _compared(copy, sent)
        finally:
            ended = time.monotonic()
            self._rests_until = ended + REST * (ended - began)

    def _sample(self, copy: Copy, instance: Instance, compared: list[Difference]) -> dict[str, Any]:
        method, target = copy.head.split(b" ", 2)[:2]
        path = self._mask.text(target.partition(b"?")[0])
        return {
            "time": time.time(),
            "lane": copy.lane.lane,
            "service": copy.service,
            "tag": copy.lane.tag,
            "instance": instance.address,
            "method": method.decode("ascii"),
            "path": printable(path.decode("latin-1"))[:MAX_TEXT],
            "differences": [self._shown(difference) for difference in compared],
        }

    def _shown(self, found: Difference) -> dict[str, str]:
        """A difference as plain values, without what is secret in a header's: it may be a URL."""
        texts = [found.baseline, found.lane]
        if found.is_header:
            texts = [self._mask.field(found.what, text.encode("latin-1")).decode("latin-1") for text in texts]
        return {"what": found.what, "baseline": texts[0][:MAX_TEXT], "lane": texts[1][:MAX_TEXT]}


def _compared(copy: Copy, sent: CopyExchange) -> list[Difference] | None:
    """What is different between the original's response and a copy's; None: the original's cannot be read."""
    baseline = read_response(b"".join(copy.response), copy.is_cut)
    response = sent.response
    if baseline is None or response is None:
        return None
    baseline.grpc_status = copy.grpc_status
    names = _fields(sent.head.decode("latin-1").split("\r\n"))
    body = None if sent.is_cut else _decoded(sent.body, names)
    return differences(baseline, Answer(response.status, names, body, sent.grpc_status), copy.lane)


def read_response(data: bytes, is_cut: bool) -> Answer | None:
    """What is compared of a response as an instance sent it; None if it cannot be read.

    `is_cut`: there was more of it. Interim responses are passed over.
    """
    while True:
        head, separator, rest = data.partition(b"\r\n\r\n")
        lines = head.decode("latin-1").split("\r\n")
        status = lines[0][9:12]
        if not separator or not status.isdecimal():
            return None
        if not status.startswith("1"):
            break
        data = rest
    names = _fields(lines)
    if is_cut:
        return Answer(int(status), names, None)
    if "chunked" in names.get("transfer-encoding", ""):
        reader = ChunkedReader(decode=True)
        try:
            rest, _ = reader.feed(rest)
        except ProtocolError:
            return None
    return Answer(int(status), names, _decoded(rest, names))


def _fields(lines: list[str]) -> dict[str, str]:
    """The fields of a head that was accepted, by names in lower case; several of one name are one list (RFC 9110 §5.3)."""
    names: dict[str, str] = {}
    for line in lines[1:]:
        name, _, value = line.partition(":")
        name, value = name.lower(), value.strip()
        names[name] = f"{names[name]}, {value}" if name in names else value
    return names


def _decoded(body: bytes, names: dict[str, str]) -> bytes | None:
    """A body without its content coding; None if it is too long, or coded in a way that is not read here."""
    coding = names.get("content-encoding", "identity").lower()
    if coding == "identity" or not body:
        return body
    if coding not in ("gzip", "x-gzip"):
        return None
    inflater = zlib.decompressobj(31)
    try:
        content = inflater.decompress(body, MAX_RESPONSE)
    except zlib.error:
        return None
    return content if inflater.eof else None
