"""Something that answers behind the addresses of pods that are none: 10.244.a.b is 127.244.a.b, in the view of tests."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from aiohttp import web

from gateway.registry.kubernetes.adapter import KubernetesAdapter
from gateway.registry.kubernetes.kind import KubernetesKind
from tests.support.wait import until

PODS = [f"10.244.{number // 256}.{number % 256}" for number in range(1, 400)]
"""Addresses that kwok gives out: from the first one on, and again as soon as one is free."""


def map_addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Registries of kind `kubernetes` connect to the mapped addresses."""
    real_adapter = KubernetesKind.adapter

    def adapter(self: KubernetesKind, *arguments: Any) -> Any:
        made = real_adapter(self, *arguments)
        assert isinstance(made, KubernetesAdapter)
        made._translate = mapped
        return made

    monkeypatch.setattr(KubernetesKind, "adapter", adapter)


def mapped(address: str) -> str:
    return address.replace("10.", "127.", 1)


class Pods:
    """What all pods answer with: who they are, which is the cluster's word."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.tags: dict[str, str] = {}
        self._runner = web.ServerRunner(web.Server(self._answer))
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        await self._runner.setup()
        assert self._runner.server is not None
        hosts = [mapped(address) for address in PODS]
        self._server = await asyncio.get_running_loop().create_server(self._runner.server, host=hosts, port=self.port)

    async def _answer(self, request: web.BaseRequest) -> web.Response:
        assert request.transport is not None
        host = request.transport.get_extra_info("sockname")[0]
        await until(lambda: host in self.tags, f"whoever {host} is")  # the gateway may have heard of it first
        return web.Response(text=self.tags[host], headers={"x-seen-tag": request.headers.get("x-gray-tag", "")})

    async def close(self) -> None:
        if self._server is not None:
            self._server.close()
        await self._runner.cleanup()
