"""Spans of running programs: one chain over entry gateway, sidecar and what its application calls, as a collector sees it."""

from __future__ import annotations

import os
import signal
from collections.abc import AsyncIterator
from itertools import pairwise
from pathlib import Path

import pytest
from aiohttp import ClientSession

from gateway.registry.embedded.server import EmbeddedRegistry
from tests.integration.test_sidecar import TRACE, Sidecar
from tests.support.gateway import Gateway
from tests.support.origin import Origin
from tests.support.otlp import Collector, Span
from tests.support.process import Program, run
from tests.support.wait import until_found


@pytest.fixture
async def collector() -> AsyncIterator[Collector]:
    collector = Collector()
    await collector.start()
    yield collector
    await collector.close()


async def traced(program: Program, collector: Collector, command: str, file: str, port: int) -> None:
    await program.start(command, "-c", file, env={**os.environ, **collector.environment})
    await program.wait_ok(port)


def chain(spans: list[Span]) -> list[Span]:
    """From the one whose parent is not ours, each followed by what it is the parent of."""
    ids = {span.id for span in spans}
    [first] = [span for span in spans if span.parent not in ids]
    found = [first]
    while below := [span for span in spans if span.parent == found[-1].id]:
        found += below[:1]
    return found


@pytest.mark.parametrize("workers", [1, 2])
async def test_one_trace_over_gateway_sidecar_and_application(
    workers: int, tmp_path: Path, origin: Origin, registry: EmbeddedRegistry, collector: Collector
) -> None:
    (tmp_path / "gateway").mkdir()
    gateway, sidecar = Gateway(tmp_path / "gateway", origin), Sidecar(tmp_path, origin, registry)
    gateway.config |= {
        "name": "edge",
        "workers": workers,
        "tracing": True,
        "registry": {"kind": "static", "services": {"b": [{"address": f"127.0.0.1:{sidecar.inbound}"}]}},
        "routes": [{"path": "/B", "service": "b"}],
    }
    sidecar.config["tracing"] = True
    gateway.write("gateway.yaml", gateway.config)
    gateway.write("rules/gray.yaml", "lane_groups: []\n")
    sidecar.write("sidecar.yaml", sidecar.config)
    try:
        await traced(gateway, collector, "serve", "gateway.yaml", gateway.admin)
        await traced(sidecar, collector, "sidecar", "sidecar.yaml", sidecar.admin)
        url = f"http://127.0.0.1:{gateway.port}/B/x?card=4111"
        async with ClientSession() as session:
            async with session.get(url, headers=[("traceparent", f"00-{TRACE}-00f067aa0ba902b7-01")]) as response:
                assert response.status == 200
            # One that is not sampled leaves nothing.
            async with session.get(url, headers=[("traceparent", f"00-{TRACE[::-1]}-00f067aa0ba902b7-00")]) as response:
                assert response.status == 200
        # As an application does that only forwards what it got.
        forwarded = origin.requests[0][1]
        [traceparent] = [value.decode() for name, value in forwarded.headers if name == b"traceparent"]
        await sidecar.call(sidecar.outbound, ("traceparent", traceparent))
        spans = chain(await collector.wait_for(6))
        assert [span.where for span in spans] == [
            "edge SERVER",
            "edge CLIENT",
            "b SERVER",
            "b CLIENT",
            "b SERVER",
            "b CLIENT",
        ]
        assert [span.attributes.get("gray.listener") for span in spans] == [
            "entry",
            None,
            "inbound",
            None,
            "outbound",
            None,
        ]
        assert (spans[0].parent, spans[3].id) == ("00f067aa0ba902b7", traceparent[36:52])
        assert {span.trace for span in collector.spans} == {TRACE}
        assert all(span.began <= inner.began for span, inner in pairwise(spans))
        assert "4111" not in str(collector.spans)
        metrics = await gateway.wait_ok(gateway.admin, "/metrics")
        assert 'gateway_spans_total{result="exported"} 2.0' in metrics
        # What was in flight when a program was told to end is exported too.
        async with ClientSession() as session:
            async with session.get(url) as response:
                assert response.status == 200
        gateway.send(signal.SIGTERM)
        assert await gateway.wait() == 0
        assert len([span for span in collector.spans if span.resource["service.name"] == "edge"]) == 4
    finally:
        await gateway.close()
        await sidecar.close()


async def test_without_a_collector_requests_are_served_and_the_loss_is_counted(
    tmp_path: Path, origin: Origin, collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    gateway = Gateway(tmp_path, origin)
    gateway.config["tracing"] = True
    gateway.write("gateway.yaml", gateway.config)
    gateway.write("rules/gray.yaml", "lane_groups: []\n")
    await collector.close()
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "0.5")
    try:
        await traced(gateway, collector, "serve", "gateway.yaml", gateway.admin)
        assert await gateway.ask("/A/x")

        async def failed() -> str | None:
            metrics = await gateway.wait_ok(gateway.admin, "/metrics")
            return metrics if 'gateway_spans_total{result="failed"} 2.0' in metrics else None

        assert await until_found(failed)
    finally:
        await gateway.close()


async def test_a_wrong_variable_is_named_at_the_start(
    tmp_path: Path, origin: Origin, monkeypatch: pytest.MonkeyPatch
) -> None:
    gateway = Gateway(tmp_path, origin)
    gateway.config["tracing"] = True
    gateway.write("gateway.yaml", gateway.config)
    gateway.write("rules/gray.yaml", "lane_groups: []\n")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4318")
    code, _, errors = await run("serve", "-c", "gateway.yaml", cwd=tmp_path)
    assert (code, "OTEL_EXPORTER_OTLP_ENDPOINT: a URL such as http://127.0.0.1:4318 is accepted" in errors) == (3, True)
