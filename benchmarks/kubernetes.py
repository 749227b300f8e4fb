"""A gateway on a real API server with as many pods and slices as wanted.

Nobody runs the pods, and nobody makes slices of them: both are written as kubelets and controllers would, so that what is
measured is the gateway and the API server. The delay begins with the API server's answer to the slice that has a ready endpoint.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.watching import Bench, say
from gateway.demo.processes import ProcessFailed
from gateway.kubernetes.access import open_access
from gateway.kubernetes.client import ApiClient
from gateway.release.ports import free_port
from tests.support.kubernetes import FOUND, Cluster

PODS = "/api/v1/namespaces/shop/pods"
SLICES = "/apis/discovery.k8s.io/v1/namespaces/shop/endpointslices"
AT_ONCE = 32


class KubernetesBench(Bench):
    """One gateway on one API server."""

    def __init__(self, kind: str, folder: Path) -> None:
        super().__init__(kind, folder)
        if FOUND["kube-apiserver"] is None or FOUND["etcd"] is None:
            raise ProcessFailed("no Kubernetes is built: `make servers`")
        self.host = own_address()
        self._gate = asyncio.Semaphore(AT_ONCE)
        self._cluster: Cluster | None = None
        self._client: ApiClient | None = None

    @property
    def settings(self) -> dict[str, object]:
        assert self._cluster is not None
        return {"kind": "kubernetes", "kubeconfig": str(self._cluster.kubeconfig(namespace="shop"))}

    async def start_registry(self) -> None:
        cluster = self._cluster = Cluster(self.folder)
        await asyncio.to_thread(cluster.start_etcd)
        await asyncio.to_thread(cluster.start_server)
        await asyncio.to_thread(cluster.kubectl, "create", "namespace", "shop")
        self._client = ApiClient(open_access(str(cluster.kubeconfig(namespace="shop"))))

    async def fill(self, services: Mapping[str, Sequence[str]]) -> None:
        for done, (name, hosts) in enumerate(services.items(), 1):
            await self._slice(name, hosts, 8080)
            if done % 100 == 0:
                say(f"{self.kind}: {done} of {len(services)} services are there")

    async def register(self, service: str, host: str, port: int) -> None:
        await self._slice(service, [host], port)

    async def close(self) -> None:
        await super().close()
        if self._client is not None:
            await self._client.close()
        if self._cluster is not None:
            await asyncio.to_thread(self._cluster.stop)

    async def _slice(self, service: str, hosts: Sequence[str], port: int) -> None:
        pods = await asyncio.gather(*(self._pod(f"{service}-{number}") for number in range(len(hosts))))
        endpoints = [
            {
                "addresses": [host],
                "conditions": {"ready": True},
                "targetRef": {"kind": "Pod", "namespace": "shop", **pod},
            }
            for host, pod in zip(hosts, pods, strict=True)
        ]
        labels = {"kubernetes.io/service-name": service}
        item = {"metadata": {"name": service, "labels": labels}, "addressType": "IPv4", "endpoints": endpoints}
        await self._create(SLICES, {**item, "ports": [{"port": port}]})

    async def _pod(self, name: str) -> dict[str, str]:
        """Its name and uid."""
        spec = {"containers": [{"name": "c", "image": "registry.test/c:1", "ports": [{"containerPort": 8080}]}]}
        made = await self._create(
            PODS, {"metadata": {"name": name, "labels": {"app": name, "version": "1"}}, "spec": spec}
        )
        return {key: made["metadata"][key] for key in ("name", "uid")}

    async def _create(self, path: str, item: dict[str, Any]) -> dict[str, Any]:
        assert self._client is not None
        async with self._gate:
            return await self._client.call("POST", path, body=item)


def own_address() -> str:
    """An address of this machine that a slice may have: loopback is refused."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("192.0.2.1", free_port()))  # nothing is sent
        return str(probe.getsockname()[0])
