"""Instances and registration in Nacos."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import Any, Final

from gateway.errors import RegistryError
from gateway.registry.base import Listing, Registration
from gateway.registry.nacos.client import LIST_V1, LIST_V3, V1, V3, NacosClient, TlsContexts, payload
from gateway.registry.nacos.naming import Leases, Subscriptions, metadata_of
from gateway.registry.records import Records
from gateway.registry.tags import TagReader

JITTER: Final = 0.2
"""Share by which a polling interval may be shorter, so that gateways do not query in step."""
AT_ONCE: Final = 32
"""Look-ups at a time: a gateway that starts asks for all of its services."""
_INSTANCE_NOT_FOUND: Final = 21003
_BEAT_NOT_FOUND: Final = 20404


class NacosAdapter:
    """RegistryAdapter and RegistrarAdapter for one Nacos cluster. `interval` is seconds between polls of a service."""

    kind = "nacos"
    is_authoritative = False

    def __init__(
        self,
        client: NacosClient,
        *,
        namespace: str = "",
        group: str = "DEFAULT_GROUP",
        clusters: Sequence[str] = (),
        interval: float = 2.0,
        tags: TagReader | None = None,
    ) -> None:
        self._client = client
        self._namespace = namespace
        self._group = group
        self._clusters = tuple(clusters)
        self._interval = interval
        self._tags = tags or TagReader()
        self._look_ups = asyncio.Semaphore(AT_ONCE)
        self._subscriptions = Subscriptions(client, namespace, group, self._records)
        self._leases = Leases(client, namespace, group, self._clusters[0] if self._clusters else "")

    def describe(self) -> Mapping[str, object]:
        """See RegistryAdapter."""
        return {"kind": self.kind, **self._client.describe()}

    def trust(self, tls: TlsContexts) -> None:
        """Trusts other authorities from now on."""
        self._client.trust(tls)

    async def close(self) -> None:
        """Closes the connections."""
        await self._client.close()

    # --- instances

    async def watch(self, service: str) -> AsyncGenerator[Listing, None]:
        """See RegistryAdapter."""
        while True:
            if await self._client.speaks_grpc():
                async with aclosing(self._subscriptions.follow(service)) as listings:
                    async for listing in listings:
                        yield listing
            try:
                yield await self.instances(service)
            except RegistryError:
                self._client.try_grpc_again()
                raise
            await asyncio.sleep(self._interval * random.uniform(1 - JITTER, 1))

    async def instances(self, service: str) -> Listing:
        """The service's instances, unhealthy ones included. Raises RegistryError."""
        await self._client.detect()  # not in turn: where the server does not answer, that would take the time of each
        async with self._look_ups:
            listing = await self._listed(service)
            if listing.instances or not self._client.has_others:
                return listing
            # Should that be a node that has just started, another one knows better.
            try:
                other = await self._listed(service, elsewhere=True)
            except RegistryError:
                return listing
            if not other.instances:
                return listing
            self._client.prefer(other.node, listing.node)
            return other

    async def _listed(self, service: str, elsewhere: bool = False) -> Listing:
        """What the node in use says, or another one."""
        is_forced, node = False, ""
        found: list[Any] = []
        if await self._client.detect() == V3:
            # One cluster a call: some 3.x servers take several names for one.
            for cluster in self._clusters or ("",):
                keys = {**self._keys(service, V3), **({"clusterName": cluster} if cluster else {})}
                body, node = await self._client.ask("GET", LIST_V3, params=keys, elsewhere=elsewhere)
                found += _list(payload(body))
        else:
            keys = {**self._keys(service, V1), "healthyOnly": "false"}
            if self._clusters:
                keys["clusters"] = ",".join(self._clusters)
            body, node = await self._client.ask("GET", LIST_V1, params=keys, elsewhere=elsewhere)
            found = _list(body.get("hosts"))
            is_forced = body.get("reachProtectionThreshold") is True
        return replace(self._records(found).listing(is_forced), node=node)

    def _records(self, found: Sequence[Any]) -> Records:
        """What a list holds, however it came."""
        records = Records(self._tags)
        for record in found:
            if not isinstance(record, dict):
                records.skip("no_object", record)
                continue
            if self._clusters and record.get("clusterName") not in (None, *self._clusters):
                continue  # not every server looks at what it was asked for
            healthy, enabled = record.get("healthy", True) is True, record.get("enabled", True) is True
            weight = record.get("weight", 1.0)
            ip, port, name = record.get("ip"), record.get("port"), record.get("instanceId")
            records.add(ip, port, weight, record.get("metadata"), healthy, enabled, record_id=name)
        return records

    # --- registration

    async def register(self, registration: Registration) -> None:
        """See RegistrarAdapter."""
        if await self._client.speaks_grpc():
            await self._leases.register(registration)
            return
        await self._register_over_http(registration)

    async def _register_over_http(self, registration: Registration) -> None:
        generation = await self._client.detect()
        form = {
            **self._instance(registration, generation),
            "weight": f"{registration.weight:g}",
            "enabled": "true",
            "healthy": "true",
            "metadata": json.dumps(metadata_of(registration)),
        }
        if generation == V3:
            payload(await self._client.call("POST", "/nacos/v3/client/ns/instance", form=form))
        else:
            await self._client.call("POST", "/nacos/v1/ns/instance", params=form)

    async def heartbeat(self, registration: Registration) -> bool:
        """See RegistrarAdapter."""
        if await self._client.speaks_grpc():
            return await self._leases.renew(registration)
        self._leases.lose(registration)
        generation = await self._client.detect()
        form = self._instance(registration, generation)
        if generation == V3:
            body = await self._client.call("POST", "/nacos/v3/client/ns/instance", form={**form, "heartBeat": "true"})
            if body.get("code") == _INSTANCE_NOT_FOUND:
                return False
            payload(body)
            return True
        # With all there is to know: servers differ in whether they register an unknown instance by its beat, and one
        # registered without its metadata would be baseline.
        beat = {
            "ip": registration.host,
            "port": registration.port,
            "serviceName": f"{self._group}@@{registration.service}",
            "cluster": form.get("clusterName", "DEFAULT"),
            "weight": registration.weight,
            "metadata": metadata_of(registration),
            "scheduled": True,
        }
        body = await self._client.call("PUT", "/nacos/v1/ns/instance/beat", params={**form, "beat": json.dumps(beat)})
        return body.get("code") != _BEAT_NOT_FOUND

    async def suspend(self, registration: Registration) -> None:
        """See RegistrarAdapter. Ephemeral instances are healthy while their heart beats: it is taken out."""
        await self.deregister(registration)

    async def withdraw(self, registration: Registration) -> None:
        """See RegistrarAdapter. There is no maintenance for ephemeral instances: it is taken out."""
        await self.deregister(registration)

    async def release(self, registration: Registration) -> None:
        """See RegistrarAdapter. What is registered over a connection would go with that; over HTTP it lives by heartbeats."""
        self._leases.forget(registration)
        if self._leases.lose(registration):
            await self._register_over_http(registration)

    async def deregister(self, registration: Registration) -> None:
        """See RegistrarAdapter."""
        self._leases.forget(registration)
        if self._leases.holds(registration):
            # Over HTTP it would go on: what is registered over a connection is that connection's.
            await self._leases.end(registration)
            return
        generation = await self._client.detect()
        path = "/nacos/v3/client/ns/instance" if generation == V3 else "/nacos/v1/ns/instance"
        await self._client.call("DELETE", path, params=self._instance(registration, generation))

    def _keys(self, service: str, generation: str) -> dict[str, str]:
        keys = {"serviceName": service, "groupName": self._group}
        if self._namespace or generation == V3:
            keys["namespaceId"] = self._namespace or "public"
        return keys

    def _instance(self, registration: Registration, generation: str) -> dict[str, str]:
        endpoint = {"ip": registration.host, "port": str(registration.port), "ephemeral": "true"}
        cluster = {"clusterName": self._clusters[0]} if self._clusters else {}
        return {**self._keys(registration.service, generation), **endpoint, **cluster}


def _list(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise RegistryError("bad_response", "the instance list is not a list")
    return value
