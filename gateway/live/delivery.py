"""Records on their way from one program to another: a sidecar delivers what it has seen to the gateway that shows chains.

Why they are pushed: `docs/decisions/0005-records-are-pushed.md`.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any, Final

from aiohttp import ClientError, ClientSession, ClientTimeout
from pydantic import TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from gateway.live.store import RecordStore, Stored
from gateway.printable import printable
from gateway.telemetry.request_record import SHOWN, Reporter, RequestRecord

_log = logging.getLogger("gateway.live")

PATH: Final = "/api/v1/records"
BATCH: Final = 100
"""Records of one delivery."""
MAX_BODY: Final = 1 << 20
"""Bytes of one delivery."""
GATHER: Final = 0.25
"""Seconds between two deliveries: those of a moment go together."""
TIMEOUT: Final = ClientTimeout(total=3.0, sock_connect=1.0)
FIRST_PAUSE: Final = 0.5
LONGEST_PAUSE: Final = 15.0
"""Seconds until the next try, twice as long each time; meanwhile the oldest records make room."""


@dataclass
class Delivery:
    """What is delivered: who delivers it, and the records."""

    reporter: Reporter
    records: list[RequestRecord]


_DELIVERY: Final = TypeAdapter(Delivery)


def pack(reporter: Reporter, batch: list[Stored]) -> dict[str, Any]:
    """A delivery as plain values."""
    who = {"name": reporter.name, "role": reporter.role, "tag": reporter.tag, "address": reporter.address}
    records = [{name: getattr(stored.record, name) for name in SHOWN} for stored in batch]
    return {"reporter": who, "records": records}


def unpack(data: Any) -> Delivery:
    """The delivery that plain values describe. Raises ValueError saying where which value is wrong."""
    try:
        found = _DELIVERY.validate_python(data)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"])) or "the body"
        raise ValueError(f"{place}: {first['msg']}") from error
    if len(found.records) > BATCH:
        raise ValueError(f"records: {len(found.records)} are more than the {BATCH} of one delivery")
    if any(record.head or record.client_ip for record in found.records):
        raise ValueError("records: neither heads nor clients are delivered")
    return found


class Deliverer:
    """Delivers the records of `store` to the admin API at `collector`, for as long as the program runs.

    A collector that is away is tried again, and logged once. `delivered` and `lost` count records.
    """

    def __init__(self, store: RecordStore, reporter: Reporter, collector: str, token: str = "") -> None:
        self._store = store
        self._reporter = reporter
        self._collector = collector
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._trouble = ""
        self.delivered = 0
        self.lost = 0

    async def run(self) -> None:
        """Returns when the store is closed."""
        cursor, pause = self._store.last, FIRST_PAUSE
        async with ClientSession(timeout=TIMEOUT, headers=self._headers) as session:
            while not self._store.is_closed:
                await self._store.wait(cursor)
                gone, batch = self._store.after(cursor, BATCH)
                if not batch:
                    continue
                self.lost += gone or 0
                cursor = batch[0].id - 1
                if await self._deliver(session, batch):
                    cursor, pause = batch[-1].id, FIRST_PAUSE
                    await asyncio.sleep(GATHER)
                else:
                    await asyncio.sleep(pause)
                    pause = min(2 * pause, LONGEST_PAUSE)

    async def _deliver(self, session: ClientSession, batch: list[Stored]) -> bool:
        """Returns whether the batch is dealt with: taken, or of no use to anybody."""
        url = f"http://{self._collector}{PATH}"
        try:
            async with session.post(url, json=pack(self._reporter, batch), allow_redirects=False) as response:
                trouble = "" if response.status == 200 else f"{response.status} {(await response.text())[:300]}"
                is_refused = response.status in (400, 413)
        except (ClientError, TimeoutError, OSError) as error:
            trouble, is_refused = str(error) or type(error).__name__, False
        if trouble and trouble != self._trouble:
            _log.warning("request records are not delivered to %s: %s", self._collector, printable(trouble))
        self._trouble = trouble
        if not trouble:
            self.delivered += len(batch)
        elif is_refused:
            self.lost += len(batch)
        return is_refused or not trouble
