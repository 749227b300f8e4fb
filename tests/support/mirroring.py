"""An entry listener in the test's own process whose gray lane gets copies, and what sends them."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from gateway.http.masking import Mask
from gateway.http.response import ResponseReader
from gateway.instance import Instance
from gateway.live.mirrors import Mirrors
from gateway.proxy.copies import Copies
from gateway.routing.carriers import Carriers
from tests.support.origin import Origin
from tests.support.proxy import Proxy


class Mirrored:
    """A gateway whose gray lane gets copies of all unmarked requests. `carriers` are those that copies are marked with."""

    def __init__(self, proxy: Proxy, mirrors: Mirrors, copies: Copies, carriers: Carriers) -> None:
        self.proxy = proxy
        self.mirrors = mirrors
        self.copies = copies
        self.carriers = carriers

    @property
    def counted(self) -> dict[tuple[str, str, str], int]:
        return self.proxy.traffic.mirrored

    async def get(self, target: str = "/A/x", *headers: str) -> int:
        return (await self.proxy.get(target, *headers)).status


@asynccontextmanager
async def mirrored(
    base: Instance, gray: Instance, proxy: Proxy | None = None, **mirror: Any
) -> AsyncIterator[Mirrored]:
    """Serves in front of an instance of the baseline and of one of the lane."""
    proxy = proxy or Proxy()
    match = [{"param": "group", "equals": "gray"}]
    lane = {"name": "gray", "tag": "gray", "match": match, "mirror": {"percent": 100, **mirror}}
    proxy.group = {"name": "demo", "lanes": [lane]}
    await proxy.serve(base, gray)
    copies = proxy.context.copies = Copies(proxy.traffic)
    carriers = Carriers()
    mirrors = Mirrors(
        copies,
        snapshot=lambda: proxy.router.snapshot,
        carriers=carriers,
        origins=proxy.context.origins,
        reader=ResponseReader(),
        mask=Mask(["token"]),
        random=random.Random(1),
    )
    running = asyncio.create_task(mirrors.run())
    try:
        yield Mirrored(proxy, mirrors, copies, carriers)
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await proxy.close()
    assert proxy.traffic.internal_errors == 0


async def mirrored_at(origin: Origin, parts: AsyncExitStack, proxy: Proxy | None = None, **mirror: Any) -> Mirrored:
    """The same in front of both ports of an origin, for as long as `parts` are open."""
    base = Instance("127.0.0.1", origin.ports["base"])
    gray = Instance("127.0.0.1", origin.ports["gray"], tag="gray")
    return await parts.enter_async_context(mirrored(base, gray, proxy, **mirror))
