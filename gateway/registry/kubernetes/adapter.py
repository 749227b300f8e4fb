"""Instances from EndpointSlices: one watch of slices and one of pods for a namespace, however many services are asked for."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping
from dataclasses import replace
from time import monotonic
from typing import Final

from gateway.errors import RegistryError
from gateway.instance import UID_KEY, Instance
from gateway.kubernetes.client import ApiClient
from gateway.kubernetes.collection import Collection
from gateway.kubernetes.errors import ApiError
from gateway.registry.base import Listing
from gateway.registry.kubernetes.failures import registry_error
from gateway.registry.kubernetes.slices import Pod, Slice, listing, read_pod, read_slice, uids_of
from gateway.registry.tags import TagReader

LARGE: Final = 500
"""Endpoints of a service: its list takes 7 ms or more to make."""
NEEDED: Final = "get, list and watch of endpointslices and pods"
"""What an account has to be allowed."""


class KubernetesAdapter:
    """RegistryAdapter of one cluster.

    A service is `name` in `namespace`, or `name.namespace`; `:port` behind it says which port of it counts. Else `ports` has
    the port of some services by name or number, `port` that of all others. `selector` leaves the slices with these labels,
    which are their Services'.
    """

    kind = "kubernetes"
    is_authoritative = False

    def __init__(
        self,
        client: ApiClient,
        *,
        namespace: str = "",
        selector: str = "",
        port: str = "",
        ports: Mapping[str, str] | None = None,
        tags: TagReader | None = None,
        translate: Callable[[str], str] | None = None,
    ) -> None:
        self._client = client
        self._namespace = namespace or client.access.namespace
        self._selector = selector
        self._port = port
        self._ports = dict(ports or {})
        self._tags = tags or TagReader()
        self._translate = translate
        self._namespaces: dict[str, _Namespace] = {}

    def describe(self) -> Mapping[str, object]:
        """See RegistryAdapter."""
        counts = {name: space.describe() for name, space in sorted(self._namespaces.items())}
        return {"kind": self.kind, "address": self._client.access.server, "namespaces": counts}

    async def close(self) -> None:
        """Ends the watches, and closes the connections."""
        await asyncio.gather(*(space.close() for space in self._namespaces.values()))
        await self._client.close()

    async def watch(self, service: str) -> AsyncGenerator[Listing, None]:
        """See RegistryAdapter."""
        called, _, wanted = service.partition(":")
        name, namespace = self._located(called)
        space = self._namespaces.get(namespace)
        if space is None:
            space = self._namespaces[namespace] = _Namespace(self._client, namespace, self._selector)
        port = wanted or self._ports.get(service, self._port)
        while True:
            changed = space.changed(name)
            try:
                await space.settled()
                slices = space.slices_of(name)
                if not slices:
                    await self._require_endpoints(name, namespace)
            except ApiError as error:
                raise registry_error(error, NEEDED) from error
            began = monotonic()
            if sum(len(item.endpoints) for item in slices) < LARGE:
                yield replace(listing(slices, space.pods, self._tags, port, self._translate), is_gone=space.is_gone)
                await changed.wait()
                continue
            # Requests go on meanwhile; and though pods change one by one, no more than half of a core is spent on lists.
            pods = dict(space.pods)
            found = await asyncio.to_thread(listing, slices, pods, self._tags, port, self._translate)
            cost = monotonic() - began
            yield replace(found, is_gone=space.is_gone)
            await changed.wait()
            await asyncio.sleep(cost)

    def _located(self, service: str) -> tuple[str, str]:
        """Name and namespace of a service. `name.namespace.svc.cluster.local` is how clients of a cluster call it."""
        name, _, rest = service.partition(".")
        namespace, _, domain = rest.partition(".")
        if domain and domain.split(".")[0] != "svc":
            raise RegistryError("bad_name", f"service {service!r}: `name` or `name.namespace` is needed")
        return name, namespace or self._namespace

    async def _require_endpoints(self, name: str, namespace: str) -> None:
        """A service without slices may have none by its nature. Raises RegistryError then."""
        try:
            found = await self._client.call("GET", f"/api/v1/namespaces/{namespace}/services/{name}")
        except ApiError as error:
            if error.status in (403, 404):
                return  # there is none (yet), or we may not know
            raise
        spec = found.get("spec")
        if isinstance(spec, dict) and spec.get("type") == "ExternalName":
            message = f"service {name} of namespace {namespace} is of type ExternalName: it has no instances itself"
            raise RegistryError("bad_name", message)


class _Namespace:
    """What is known of one namespace."""

    def __init__(self, client: ApiClient, name: str, selector: str) -> None:
        discovery = f"/apis/discovery.k8s.io/v1/namespaces/{name}/endpointslices"
        self._slices = Collection(client, discovery, self._slices_changed, keep=read_slice, selector=selector)
        self._pods = Collection(
            client,
            f"/api/v1/namespaces/{name}/pods",
            self._pods_changed,
            keep=read_pod,
            fields="status.phase!=Succeeded,status.phase!=Failed",  # which have no address any more
            only_metadata=True,
        )
        self._changed: dict[str, asyncio.Event] = {}
        self._uids: dict[str, set[str]] = {}

    @property
    def pods(self) -> Mapping[str, Pod]:
        """Those that are known, by uid."""
        return self._pods.objects

    def describe(self) -> Mapping[str, object]:
        """Counts, for people."""
        problem = self._slices.problem or self._pods.problem
        return {
            "slices": len(self._slices.objects),
            "pods": len(self._pods.objects),
            **({} if problem is None else {"problem": str(problem)}),
        }

    def is_gone(self, instance: Instance) -> bool:
        """Whether an instance's pod has ended, or was told to. As long as it lives, nobody else has its address."""
        uid = instance.metadata.get(UID_KEY)
        return bool(uid) and not self._lives(uid)

    def _lives(self, uid: str | None) -> bool:
        pod = self._pods.objects.get(uid or "")
        return pod is not None and not pod.is_leaving

    def changed(self, service: str) -> asyncio.Event:
        """Set when something of a service has changed since this was asked for."""
        event = self._changed.get(service)
        if event is None or event.is_set():
            event = self._changed[service] = asyncio.Event()
        return event

    async def settled(self) -> None:
        """Waits until both collections are in step. Raises ApiError if one is not."""
        self._slices.start()
        self._pods.start()
        await self._pods.settled()
        await self._slices.settled()

    def slices_of(self, service: str) -> list[Slice]:
        """Those of one service."""
        found = [item for item in self._slices.objects.values() if item.service == service]
        # With those that were in its slices before and still live: they may be kept by whoever doubts that they went.
        self._uids[service] = uids_of(found) | {uid for uid in self._uids.get(service, ()) if self._lives(uid)}
        return found

    async def close(self) -> None:
        """Ends the watches."""
        await asyncio.gather(self._slices.close(), self._pods.close())

    def _slices_changed(self, changed: list[Slice]) -> None:
        self._wake({item.service for item in changed} if changed else set(self._changed))

    def _pods_changed(self, changed: list[Pod]) -> None:
        uids = {pod.uid for pod in changed}
        affected = {service for service, known in self._uids.items() if known & uids}
        self._wake(affected if changed else set(self._changed))

    def _wake(self, services: set[str]) -> None:
        for service in services:
            event = self._changed.get(service)
            if event is not None:
                event.set()
