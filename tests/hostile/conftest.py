"""What the tests of this package share."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.support.bounds import Timeouts
from tests.support.hostile import started
from tests.support.origin import Origin
from tests.support.proxy import Proxy


@pytest.fixture
async def hasty(origin: Origin) -> AsyncIterator[Proxy]:
    """A proxy with short timeouts."""
    proxy = Proxy()
    proxy.timeouts = Timeouts(head=0.3, body_idle=0.3, connect=0.3, response=0.3, keep_alive=0.3)
    async with started(proxy, origin):
        yield proxy


@pytest.fixture
async def trusting(origin: Origin) -> AsyncIterator[Proxy]:
    """A proxy that trusts this machine's clients."""
    proxy = Proxy()
    proxy.trust_loopback()
    async with started(proxy, origin):
        yield proxy
