"""A collector that takes spans by OTLP/HTTP, decodes them as the protocol's own library does, and remembers them."""

from __future__ import annotations

import gzip
from dataclasses import dataclass
from typing import Any

from aiohttp import web
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.trace.v1.trace_pb2 import Span as Message

from tests.support.wait import until_found

KINDS = {Message.SPAN_KIND_SERVER: "SERVER", Message.SPAN_KIND_CLIENT: "CLIENT"}


@dataclass(frozen=True)
class Span:
    """What a collector sees of a span; ids are hexadecimal, times nanoseconds since the epoch."""

    name: str
    kind: str
    trace: str
    id: str
    parent: str
    began: int
    ended: int
    failed: bool
    attributes: dict[str, Any]
    resource: dict[str, Any]

    @property
    def where(self) -> str:
        """Which program made it, and where in it."""
        return f"{self.resource['service.name']} {self.kind}"


class Collector:
    """Responds with `status` and `body`, after `pause()` if there is one."""

    def __init__(self) -> None:
        self.port = 0
        self.spans: list[Span] = []
        self.headers: list[dict[str, str]] = []
        self.status = 200
        self.body = ExportTraceServiceResponse().SerializeToString()
        self.pause: Any = None
        self._runner: web.AppRunner | None = None

    @property
    def environment(self) -> dict[str, str]:
        """What tells a program to send its spans here, soon."""
        return {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{self.port}", "OTEL_BSP_SCHEDULE_DELAY": "50"}

    async def start(self) -> None:
        app = web.Application(client_max_size=1 << 26)
        app.router.add_post("/v1/traces", self._take)
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.port = self._runner.addresses[0][1]

    async def close(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    async def wait_for(self, count: int) -> list[Span]:
        """The spans, as soon as there are so many."""

        async def found() -> list[Span] | None:
            return self.spans if len(self.spans) >= count else None

        return await until_found(found)

    async def _take(self, request: web.Request) -> web.Response:
        self.headers.append({name.lower(): value for name, value in request.headers.items()})
        body = await request.read()
        if self.pause is not None:
            await self.pause()
        if self.status == 200:
            self.spans += decoded(body)
        return web.Response(status=self.status, body=self.body, content_type="application/x-protobuf")


def decoded(body: bytes) -> list[Span]:
    """The spans of one export."""
    if body[:2] == b"\x1f\x8b":
        body = gzip.decompress(body)
    return [
        Span(
            span.name,
            KINDS[span.kind],
            span.trace_id.hex(),
            span.span_id.hex(),
            span.parent_span_id.hex(),
            span.start_time_unix_nano,
            span.end_time_unix_nano,
            span.status.code == 2,
            _plain(span.attributes),
            _plain(of_resource.resource.attributes),
        )
        for of_resource in ExportTraceServiceRequest.FromString(body).resource_spans
        for of_scope in of_resource.scope_spans
        for span in of_scope.spans
    ]


def _plain(attributes: Any) -> dict[str, Any]:
    return {item.key: getattr(item.value, item.value.WhichOneof("value")) for item in attributes}
