"""Instances and registration in Consul."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Mapping
from typing import Any, Final

from gateway.errors import RegistryError
from gateway.registry.base import Listing, Registration
from gateway.registry.consul.bridge import Agent
from gateway.registry.consul.client import ConsulClient
from gateway.registry.consul.wakeup import WakeUp
from gateway.registry.http import path_segment
from gateway.registry.largejson import items, off_loop
from gateway.registry.records import Records
from gateway.registry.tags import TagReader
from gateway.settings.registry import MAX_WATCHES
from gateway.tls.contexts import UpstreamTLS

_log = logging.getLogger("gateway.registry")

AT_ONCE: Final = 32
"""Look-ups at a time of the services beyond those."""


class ConsulAdapter:
    """RegistryAdapter and RegistrarAdapter for one Consul agent.

    `max_waiting` services are waited for by their own query (an agent limits its connections); all others are looked
    up whenever anything has changed.
    """

    kind = "consul"
    is_authoritative = False

    def __init__(
        self,
        client: ConsulClient,
        agent: Agent,
        *,
        tags: TagReader | None = None,
        takes_warning: bool = True,
        max_waiting: int = MAX_WATCHES,
    ) -> None:
        self._client = client
        self._agent = agent
        self._tags = tags or TagReader()
        self._takes_warning = takes_warning
        self._max_waiting = max_waiting
        self._waiting = 0
        self._look_ups = asyncio.Semaphore(AT_ONCE)
        self._wake_up = WakeUp(client)

    def describe(self) -> Mapping[str, object]:
        """See RegistryAdapter."""
        return {"kind": self.kind, "address": self._client.address}

    def trust(self, tls: UpstreamTLS) -> None:
        """Trusts other authorities from now on."""
        self._client.trust(tls)

    async def close(self) -> None:
        """Closes the connections."""
        await self._wake_up.close()
        await self._agent.close()
        await self._client.close()

    # --- instances

    async def watch(self, service: str) -> AsyncGenerator[Listing, None]:
        """See RegistryAdapter."""
        if self._waiting < self._max_waiting:
            self._waiting += 1
            try:
                async for response in self._client.follow(_path(service)):
                    yield await off_loop(response.text, self._listing)
                    if self._waiting > self._max_waiting:
                        break
            except RegistryError as error:
                if error.reason != "connections":
                    raise
                self._wait_for_fewer(error)
            finally:
                self._waiting -= 1
        while True:
            seen = self._wake_up.count
            yield await self.instances(service)
            await self._wake_up.wait(seen)

    def _wait_for_fewer(self, error: RegistryError) -> None:
        """The agent takes fewer connections than there is to wait for, or others have them: room is made for lookups."""
        fewer = self._waiting // 2
        if fewer < self._max_waiting:
            self._max_waiting = fewer
            told = "Consul at %s: %s; %d services have their own blocking queries, the others share two"
            _log.warning(told, self._client.address, error, fewer)

    async def instances(self, service: str) -> Listing:
        """The service's instances now. Raises RegistryError."""
        async with self._look_ups:
            response, _ = await self._client.query(_path(service))
        return await off_loop(response.text, self._listing)

    def _listing(self, text: str) -> Listing:
        records = Records(self._tags)
        try:
            for entry in items(text):
                try:
                    self._add(records, entry)
                except (KeyError, TypeError, AttributeError):
                    records.skip("no_service", entry)
        except (ValueError, RecursionError) as error:
            raise RegistryError("bad_response", "the response is not a list in JSON") from error
        return records.listing()

    def _add(self, records: Records, entry: Any) -> None:
        service, node = entry["Service"], entry.get("Node") or {}
        states = {check.get("Status") for check in entry.get("Checks") or []}
        is_warned = "warning" in states
        healthy = "critical" not in states and (self._takes_warning or not is_warned)
        weights = service.get("Weights") or {}
        weight = weights.get("Warning" if is_warned else "Passing", 1)
        # The service's own address is optional.
        host = service.get("Address") or node.get("Address")
        records.add(
            host,
            service["Port"],
            weight,
            service.get("Meta"),
            healthy,
            True,
            labels=service.get("Tags"),
            record_id=service.get("ID"),
        )

    # --- registration

    async def register(self, registration: Registration) -> None:
        """See RegistrarAdapter."""
        await self._agent.register(registration)

    async def heartbeat(self, registration: Registration) -> bool:
        """See RegistrarAdapter."""
        return await self._agent.heartbeat(registration)

    async def suspend(self, registration: Registration) -> None:
        """See RegistrarAdapter. It is listed as critical, and maintenance that an operator has set stays."""
        await self._agent.fail(registration)

    async def withdraw(self, registration: Registration) -> None:
        """See RegistrarAdapter."""
        await self._agent.maintain(registration)

    async def release(self, registration: Registration) -> None:
        """See RegistrarAdapter. It is registered until its check has been silent for a while."""

    async def deregister(self, registration: Registration) -> None:
        """See RegistrarAdapter."""
        await self._agent.deregister(registration)


def _path(service: str) -> str:
    # Everything, healthy or not: "all critical" is not "deregistered".
    return f"/v1/health/service/{path_segment(service)}"
