"""Tests on both event loops: asyncio's own, and uvloop, which the program runs on and whose transports differ."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import uvloop

from tests.support.origin import Origin
from tests.support.proxy import Proxy


def on_both_loops(test: Callable[..., Awaitable[None]]) -> Callable[..., None]:
    """Runs `test(proxy, origin, …)` once on each loop; other parameters are pytest's."""
    return _on([asyncio.run, uvloop.run], test)


def on_uvloop(test: Callable[..., Awaitable[None]]) -> Callable[..., None]:
    """Runs `test(proxy, origin, …)` on the loop that the program runs on."""
    return _on([uvloop.run], test)


def _on(runs: list[Callable[[Any], None]], test: Callable[..., Awaitable[None]]) -> Callable[..., None]:

    async def scenario(parameters: dict[str, Any]) -> None:
        origin, proxy = Origin(), Proxy()
        await origin.start()
        await proxy.start(origin)
        try:
            await test(proxy, origin, **parameters)
        finally:
            await proxy.close()
            await origin.close()
            for _ in range(10):  # what was closed closes
                await asyncio.sleep(0)

    def run_it(run: Callable[[Any], None], **parameters: Any) -> None:
        run(scenario(parameters))

    own = [
        parameter for name, parameter in inspect.signature(test).parameters.items() if name not in ("proxy", "origin")
    ]
    first = inspect.Parameter("run", inspect.Parameter.POSITIONAL_OR_KEYWORD)
    run_it.__name__, run_it.__doc__, run_it.__module__ = test.__name__, test.__doc__, test.__module__
    run_it.__signature__ = inspect.Signature([first, *own])  # type: ignore[attr-defined]
    for mark in getattr(test, "pytestmark", []):
        run_it = getattr(pytest.mark, mark.name)(*mark.args, **mark.kwargs)(run_it)
    names = [run.__module__.partition(".")[0] for run in runs]
    on_each: Callable[..., None] = pytest.mark.parametrize("run", runs, ids=names)(run_it)
    return on_each
