"""What the conformance tests of the Gateway API need of a cluster, where there are neither kubelets nor load balancers.

A gateway for each Gateway of our class, at an address of its own; and behind each pod that is to echo a real process that
does, to which its address (10.244.a.b is 127.244.a.b here) is passed on.
"""

from __future__ import annotations

import asyncio
import os
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import Any

import yaml

from gateway.app.entry import EntryGateway
from gateway.app.sockets import Sockets
from gateway.demo.registries import find_server
from gateway.kubernetes.access import open_access
from gateway.kubernetes.client import ApiClient
from gateway.kubernetes.collection import Collection
from gateway.release.ports import free_port
from tests.support.kubernetes import Cluster
from tests.support.mappedpods import mapped

PORTS = {3000: "HTTP_PORT", 3001: "H2C_PORT", 8443: "HTTPS_PORT"}
"""Ports of the pods, and the variables by which the echo program takes others."""
NOT_ECHOING = ("grpc-", "coredns", "tcp-", "udp-", "tls-")
TLS_GATEWAY = "same-namespace-with-https-listener"


class Provisioner:
    """Follows the cluster, and starts and ends what stands for it."""

    def __init__(self, cluster: Cluster, folder: Path) -> None:
        self._cluster = cluster
        self._folder = folder
        client = self._client = ApiClient(open_access(str(cluster.kubeconfig())))
        self._changed = asyncio.Event()
        wake: Any = lambda _: self._changed.set()  # noqa: E731
        self._gateways = Collection(client, "/apis/gateway.networking.k8s.io/v1/gateways", wake, keep=_gateway_of)
        self._pods = Collection(client, "/api/v1/pods", wake, keep=_pod_of)
        self._running: dict[str, AsyncExitStack] = {}
        self._count = 0
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._gateways.start()
        self._pods.start()
        self._task = asyncio.create_task(self._follow())

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        await self._gateways.close()
        await self._pods.close()
        await self._client.close()
        for parts in self._running.values():
            await parts.aclose()

    async def _follow(self) -> None:
        while True:
            await self._changed.wait()
            self._changed.clear()
            wanted = {**self._gateways.objects, **self._pods.objects}
            for uid in [uid for uid in self._running if uid not in wanted]:
                await self._running.pop(uid).aclose()
            for uid, thing in wanted.items():
                if uid not in self._running:
                    parts = self._running[uid] = AsyncExitStack()
                    await (self._serve if len(thing) == 2 else self._echo)(parts, *thing)

    async def _serve(self, parts: AsyncExitStack, namespace: str, name: str) -> None:
        if name == TLS_GATEWAY:
            await asyncio.to_thread(
                self._cluster.kubectl, "-n", namespace, "annotate", "gateway", name,
                "gateway-api/skip-this-for-readiness=true",
            )  # fmt: skip
        self._count += 1
        address = f"127.0.{1 + self._count // 250}.{self._count % 250 + 1}"
        config = {
            "listen": f"{address}:80",
            "admin": f"127.0.0.1:{free_port()}",
            "registry": {"kind": "kubernetes", "kubeconfig": str(self._cluster.kubeconfig("admin", namespace))},
            "gateway_api": {"gateway": name, "all_namespaces": True, "addresses": [address]},
        }
        path = self._folder / f"{namespace}-{name}-{self._count}.yaml"
        path.write_text(yaml.safe_dump(config))
        await EntryGateway(path).start(parts, Sockets())

    async def _echo(self, parts: AsyncExitStack, namespace: str, name: str, ip: str) -> None:
        ports = {port: free_port() for port in PORTS}
        program = find_server("gateway-api-echo")
        assert program is not None
        process = await asyncio.create_subprocess_exec(
            program,
            env={**os.environ, "POD_NAME": name, "NAMESPACE": namespace, **{PORTS[port]: str(own) for port, own in ports.items()}},
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
        )  # fmt: skip
        parts.push_async_callback(process.wait)
        parts.callback(process.kill)
        for port, own in ports.items():
            server = await asyncio.start_server(_passing_to(own), mapped(ip), port)
            parts.callback(server.close)


def _passing_to(port: int) -> Any:
    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            there, back = await asyncio.open_connection("127.0.0.1", port)
            await asyncio.gather(_pipe(reader, back), _pipe(there, writer))

    return accept


async def _pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    writer.close()


def _gateway_of(item: dict[str, Any]) -> tuple[str, str] | None:
    if item["spec"]["gatewayClassName"] != "gray":
        return None
    return item["metadata"]["namespace"], item["metadata"]["name"]


def _pod_of(item: dict[str, Any]) -> tuple[str, str, str] | None:
    metadata, ip = item["metadata"], item.get("status", {}).get("podIP")
    image = item["spec"]["containers"][0]["image"]
    if not ip or "echo-basic" not in image or metadata["name"].startswith(NOT_ECHOING):
        return None
    return metadata["namespace"], metadata["name"], ip
