"""Sends the copies of requests to the lanes that mirror, when the originals are over, and compares the responses."""

from __future__ import annotations

import asyncio
import time
import zlib
from collections import deque
from collections.abc import Callable
from dataclasses import asdict
from random import Random
from typing import Any, Final

from aiohttp import ClientError, ClientSession, ClientTimeout, TCPConnector
from multidict import CIMultiDict
from yarl import URL

from gateway import hop
from gateway.errors import ProtocolError
from gateway.http.chunked import ChunkedReader
from gateway.instance import Instance
from gateway.live.comparing import Answer, differences
from gateway.printable import printable
from gateway.proxy.copies import MAX_RESPONSE, Copies, Copy
from gateway.telemetry.tracecontext import ID_FIELDS, new_traceparent_line

MARK: Final = "X-Gray-Mirror"
"""The field that says of a request that it is a copy."""
SENDERS: Final = 8
"""Copies that are under way at a time."""
SAMPLES: Final = 50
"""Requests with differences that are remembered."""
TIMEOUT: Final = ClientTimeout(total=10.0, sock_connect=2.0)
_DROPPED: Final = frozenset(
    {"content-length", "transfer-encoding", "traceparent", "tracestate", "x-gray-hop", "expect", "accept-encoding"}
    | {field.name.decode("ascii") for field in ID_FIELDS}
)
"""Fields of the original that a copy does not have: with its ids, what it leads to would be taken for the original's."""


class Mirrors:
    """Of one process. `samples` are the latest copies whose response was different, as plain values.

    `header` and `member` carry the tag. `is_secured` says of a service and an instance whether it speaks TLS: it gets no copies.
    """

    def __init__(
        self, copies: Copies, header: str, member: str, is_secured: Callable[[str, Instance], bool], random: Random
    ) -> None:
        self.samples: deque[dict[str, Any]] = deque(maxlen=SAMPLES)
        self._copies = copies
        self._header = header
        self._member = member
        self._is_secured = is_secured
        self._random = random
        self._sending: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Never returns."""
        connector = TCPConnector(limit=SENDERS)
        async with ClientSession(timeout=TIMEOUT, connector=connector, auto_decompress=False) as session:
            try:
                await self._follow(session)
            finally:
                for task in self._sending:
                    task.cancel()
                await asyncio.gather(*self._sending, return_exceptions=True)

    async def _follow(self, session: ClientSession) -> None:
        copies = self._copies
        while True:
            await copies.is_wanted.wait()
            copies.is_wanted.clear()
            while copies.waiting:
                if len(self._sending) >= SENDERS:
                    await asyncio.wait(self._sending, return_when=asyncio.FIRST_COMPLETED)
                task = asyncio.create_task(self._mirror(session, copies.waiting.pop(0)))
                self._sending.add(task)
                task.add_done_callback(self._sending.discard)

    async def _mirror(self, session: ClientSession, copy: Copy) -> None:
        result = "failed"
        try:
            baseline = read_response(b"".join(copy.response), copy.is_cut)
            if baseline is None or not copy.instance.is_plain or self._is_secured(copy.service, copy.instance):
                result = "skipped"
                return
            lane = await self._send(session, copy)
            found = differences(baseline, lane, copy.lane)
            result = "different" if found else "same"
            if found:
                method, target = copy.head.split(b" ", 2)[:2]
                self.samples.append(
                    {
                        "time": time.time(),
                        "lane": copy.lane.lane,
                        "service": copy.service,
                        "tag": copy.lane.tag,
                        "instance": copy.instance.address,
                        "method": method.decode("ascii"),
                        "path": printable(target.partition(b"?")[0].decode("latin-1"))[:200],
                        "differences": [asdict(difference) for difference in found],
                    }
                )
        except (ClientError, OSError, TimeoutError, ValueError, ProtocolError):
            pass  # whatever is wrong with the lane's instance, only the count says so
        finally:
            self._copies.done(copy, result)

    async def _send(self, session: ClientSession, copy: Copy) -> Answer:
        body = copy.body
        if copy.is_framed:
            body, _ = ChunkedReader(decode=True).feed(body)
        head = copy.head.decode("latin-1").split("\r\n")
        method, target, _ = head[0].split(" ")
        async with session.request(
            method,
            URL(f"http://{copy.instance.address}{target}", encoded=True),
            headers=self._fields(head[1:], copy),
            data=body or None,
            allow_redirects=False,
            skip_auto_headers=("User-Agent", "Accept", "Accept-Encoding", "Content-Type"),
        ) as response:
            content: bytes | None = await response.content.read(MAX_RESPONSE + 1)
            while content is not None and not response.content.at_eof():
                content += await response.content.read(MAX_RESPONSE + 1 - len(content))
                if len(content) > MAX_RESPONSE:
                    content = None
            names = {name.lower(): value for name, value in response.headers.items()}
            return Answer(response.status, names, None if content is None else _decoded(content, names))

    def _fields(self, lines: list[str], copy: Copy) -> CIMultiDict[str]:
        """The fields of a copy: the original's, less its ids, marked with the lane's tag and as a copy."""
        fields: CIMultiDict[str] = CIMultiDict()
        baggage = []
        for line in lines:
            name, _, value = line.partition(":")
            folded = name.lower()
            if folded == "baggage":
                baggage.append(value.strip())
            elif line and folded not in _DROPPED:
                fields.add(name, value.strip())
        fields.add(self._header, copy.lane.tag)
        fields.add("baggage", ",".join([*baggage, f"{self._member}={copy.lane.tag}", f"{MARK.lower()}=1"]))
        fields.add(MARK, "1")
        fields.add("Accept-Encoding", _accepted(lines))
        for own in (new_traceparent_line(self._random.getrandbits(192), False), copy.instance.target_line):
            fields.update(hop.fields(own))
        return fields


def _accepted(lines: list[str]) -> str:
    return next((line.partition(":")[2].strip() for line in lines if line.lower().startswith("accept-encoding:")), "")


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
    names: dict[str, str] = {}
    for line in lines[1:]:
        name, _, value = line.partition(":")
        names.setdefault(name.lower(), value.strip())
    if is_cut:
        return Answer(int(status), names, None)
    if "chunked" in names.get("transfer-encoding", ""):
        reader = ChunkedReader(decode=True)
        try:
            rest, _ = reader.feed(rest)
        except ProtocolError:
            return None
    return Answer(int(status), names, _decoded(rest, names))


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
