"""A real Jaeger shows one trace over gateway, sidecar and what the application calls, each span below its caller's."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession

from gateway.registry.embedded.server import EmbeddedRegistry
from tests.integration.test_sidecar import TRACE, Sidecar
from tests.support.gateway import Gateway
from tests.support.jaeger import Jaeger, needs_jaeger
from tests.support.origin import Origin
from tests.support.wait import until_found

pytestmark = [pytest.mark.real, needs_jaeger]


async def test_jaeger_shows_the_chain(tmp_path: Path, origin: Origin, registry: EmbeddedRegistry) -> None:
    (tmp_path / "gateway").mkdir()
    jaeger = Jaeger(tmp_path)
    gateway, sidecar = Gateway(tmp_path / "gateway", origin), Sidecar(tmp_path, origin, registry)
    gateway.config |= {
        "name": "edge",
        "tracing": True,
        "registry": {"kind": "static", "services": {"b": [{"address": f"127.0.0.1:{sidecar.inbound}"}]}},
        "routes": [{"path": "/B", "service": "b"}],
    }
    sidecar.config["tracing"] = True
    gateway.write("rules/gray.yaml", "lane_groups: []\n")
    gateway.write("gateway.yaml", gateway.config)
    sidecar.write("sidecar.yaml", sidecar.config)
    try:
        await jaeger.start()
        environment = {
            **os.environ,
            "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{jaeger.otlp}",
            "OTEL_BSP_SCHEDULE_DELAY": "50",
        }
        await gateway.start("serve", "-c", "gateway.yaml", env=environment)
        await sidecar.start("sidecar", "-c", "sidecar.yaml", env=environment)
        await gateway.wait_ok(gateway.admin)
        await sidecar.wait_ok(sidecar.admin)
        async with ClientSession() as session:
            url = f"http://127.0.0.1:{gateway.port}/B/x?group=gray"
            async with session.get(url, headers=[("traceparent", f"00-{TRACE}-00f067aa0ba902b7-01")]) as response:
                assert response.status == 200
        headers = dict(origin.requests[0][1].headers)
        await sidecar.call(sidecar.outbound, ("traceparent", headers[b"traceparent"].decode()))

        async def whole() -> dict[str, Any] | None:
            found = await jaeger.trace(TRACE)
            return found if found is not None and len(found["spans"]) == 6 else None

        trace = await until_found(whole)
        spans = {span["spanID"]: span for span in trace["spans"]}

        def below(parent: str) -> list[tuple[str, str, str]]:
            for number, span in spans.items():
                if [reference["spanID"] for reference in span["references"]] == [parent]:
                    tags = {tag["key"]: tag["value"] for tag in span["tags"]}
                    service = trace["processes"][span["processID"]]["serviceName"]
                    return [(service, tags["span.kind"], span["operationName"]), *below(number)]
            return []

        assert below("00f067aa0ba902b7") == [
            ("edge", "server", "GET /B"),
            ("edge", "client", "GET"),
            ("b", "server", "GET"),
            ("b", "client", "GET"),
            ("b", "server", "GET"),
            ("b", "client", "GET"),
        ]
    finally:
        await gateway.close()
        await sidecar.close()
        await jaeger.stop()
