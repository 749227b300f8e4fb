"""An API server for faults that a real one cannot be made to show: it says what a test tells it to."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from aiohttp import web

from gateway.kubernetes.access import Access
from gateway.kubernetes.credentials import Credentials, NoCredentials

SLICES = "/apis/discovery.k8s.io/v1/namespaces/shop/endpointslices"
PODS = "/api/v1/namespaces/shop/pods"


def status(code: int, reason: str, message: str = "") -> dict[str, Any]:
    return {"kind": "Status", "code": code, "reason": reason, "message": message or reason}


def a_slice(
    service: str, *endpoints: dict[str, Any], name: str = "", family: str = "IPv4", ports: Any = None
) -> dict[str, Any]:
    name = name or f"{service}-1"
    return {
        "metadata": {"uid": f"uid-{name}", "name": name, "labels": {"kubernetes.io/service-name": service}},
        "addressType": family,
        "ports": [{"name": "", "port": 8080, "protocol": "TCP"}] if ports is None else ports,
        "endpoints": list(endpoints),
    }


def endpoint(address: str, pod: str, **conditions: bool) -> dict[str, Any]:
    target = {"kind": "Pod", "name": pod, "uid": f"uid-{pod}"}
    return {"addresses": [address], "conditions": {"ready": True, **conditions}, "targetRef": target}


def a_pod(name: str, **labels: str) -> dict[str, Any]:
    return {"metadata": {"uid": f"uid-{name}", "name": name, "labels": labels}}


class ApiServer:
    """Collections by path. `refusals` are taken first, one a request of its path: a status and a body.

    `requests` notes method, path and query, `bodies` what was written. `events` of a path go to its watch that is open.
    """

    def __init__(self) -> None:
        self.items: dict[str, list[dict[str, Any]]] = {SLICES: [], PODS: []}
        self.refusals: dict[str, list[tuple[int, Any]]] = {}
        self.watch_refusals: dict[str, list[tuple[int, Any]]] = {}
        self.requests: list[tuple[str, str, dict[str, str]]] = []
        self.tokens: list[str] = []
        self.bodies: list[Any] = []
        self.version = 100
        self.page = 1000
        self._watches: dict[str, asyncio.Queue[dict[str, Any] | None]] = {}
        self._all: list[asyncio.Queue[dict[str, Any] | None]] = []
        self._runner: web.AppRunner | None = None
        self.port = 0

    async def start(self) -> None:
        application = web.Application()
        application.router.add_route("*", "/{tail:.*}", self._handle)
        self._runner = web.AppRunner(application, shutdown_timeout=0)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self.port)
        await site.start()
        self.port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        self.end_watches()
        assert self._runner is not None
        await self._runner.cleanup()

    def access(self, credentials: Credentials | None = None) -> Access:
        return Access(f"http://127.0.0.1:{self.port}", None, credentials or NoCredentials(), "shop")

    def send(self, path: str, kind: str, item: dict[str, Any]) -> None:
        """An event to the watch that is open."""
        self.version += 1
        if kind != "ERROR":
            item = {**item, "metadata": {**item.get("metadata", {}), "resourceVersion": str(self.version)}}
        self._watches[path].put_nowait({"type": kind, "object": item})

    def is_watched(self, path: str) -> bool:
        return path in self._watches

    def end_watches(self) -> None:
        for queue in self._all:
            queue.put_nowait(None)

    def lists(self, path: str) -> int:
        return sum(1 for _, found, query in self.requests if found == path and "watch" not in query)

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        path, query = request.path, dict(request.query)
        self.requests.append((request.method, path, query))
        self.tokens.append(request.headers.get("Authorization", ""))
        if content := await request.read():
            self.bodies.append(json.loads(content))
        refusals = self.watch_refusals if "watch" in query else self.refusals
        if refusals.get(path):
            code, body = refusals[path].pop(0)
            return web.json_response(body, status=code)
        if path not in self.items:
            return web.json_response(status(404, "NotFound"), status=404)
        if "watch" in query:
            return await self._watch(request, path)
        start = int(query.get("continue", 0))
        items = self.items[path][start : start + self.page]
        more = start + self.page < len(self.items[path])
        metadata = {
            "resourceVersion": str(self.version),
            **({"continue": str(start + self.page)} if more else {}),
        }
        return web.json_response({"metadata": metadata, "items": items})

    async def _watch(self, request: web.Request, path: str) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b"\n")
        queue = self._watches[path] = asyncio.Queue()
        self._all.append(queue)
        while (event := await queue.get()) is not None:
            text = event["raw"] if "raw" in event else json.dumps(event).encode() + b"\n"
            await response.write(text)
        if self._watches.get(path) is queue:
            del self._watches[path]
        return response
