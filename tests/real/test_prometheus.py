"""A real Prometheus scrapes a gateway and a sidecar: every query of the boards and alerts is run against it."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from aiohttp import ClientError, ClientSession

from gateway.registry.embedded.server import EmbeddedRegistry
from gateway.release.ports import free_port
from tests.integration.test_sidecar import Sidecar
from tests.support.dashboards import ALERTS, alert_queries, board_queries, filled
from tests.support.gateway import Gateway
from tests.support.origin import Origin
from tests.support.wait import until_found

PROMETHEUS, PROMTOOL = shutil.which("prometheus"), shutil.which("promtool")

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(
        PROMETHEUS is None or PROMTOOL is None,
        reason="prometheus is not installed: boards and alerts are NOT tested against it",
    ),
]

QUIET = {
    "overview: Calls that lost their tag: {{from}} → {{to}}",
    "overview: Ejections and excused failures: {{service}} {{cause}}",
    "overview: Ejections and excused failures: {{service}} excused",
    "overview: Upstream errors: {{service}} {{kind}}",
    "overview: Retries: {{service}} {{reason}}",
    "overview: Retries: {{service}} denied",
    "overview: Registry errors: {{registry}} {{reason}}",
    "lane: Calls that lost their tag: {{from}} → {{to}} {{why}}",
}
"""What has no samples as long as nothing goes wrong."""


class Prometheus:
    """Scrapes what it is told, five times a second."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self._folder = folder
        self._process: asyncio.subprocess.Process | None = None

    async def start(self, *targets: str) -> None:
        config = {
            "global": {"scrape_interval": "200ms", "evaluation_interval": "200ms", "scrape_timeout": "200ms"},
            "scrape_configs": [{"job_name": "gray-gateway", "static_configs": [{"targets": list(targets)}]}],
            "rule_files": [str(ALERTS)],
        }
        path = self._folder / "prometheus.yaml"
        path.write_text(yaml.safe_dump(config))
        assert PROMETHEUS is not None
        with (self._folder / "prometheus.log").open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                PROMETHEUS, f"--config.file={path}", f"--storage.tsdb.path={self._folder / 'data'}",
                f"--web.listen-address=127.0.0.1:{self.port}", "--log.level=warn", stdout=log, stderr=log,
            )  # fmt: skip
        async with asyncio.timeout(60), ClientSession() as session:
            while True:
                try:
                    async with session.get(f"http://127.0.0.1:{self.port}/-/ready") as response:
                        if response.status == 200:
                            return
                except ClientError:
                    assert self._process.returncode is None, (self._folder / "prometheus.log").read_text()
                await asyncio.sleep(0.05)

    async def stop(self) -> None:
        if self._process is not None and self._process.returncode is None:
            self._process.kill()
            await self._process.wait()

    async def ask(self, path: str, **query: str) -> Any:
        async with ClientSession() as session:
            async with session.get(f"http://127.0.0.1:{self.port}/api/v1/{path}", params=query) as response:
                found = await response.json()
        assert found["status"] == "success", (query, found)
        return found["data"]

    async def query(self, query: str) -> list[Any]:
        result: list[Any] = (await self.ask("query", query=query))["result"]
        return result


def promtool(*arguments: str, given: str = "") -> str:
    """What it says; fails the test if it finds something."""
    assert PROMTOOL is not None
    done = subprocess.run([PROMTOOL, *arguments], input=given, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    return done.stdout


@pytest.fixture
async def gateway(tmp_path: Path, origin: Origin) -> AsyncIterator[Gateway]:
    gateway = Gateway(tmp_path / "gateway", origin)
    (tmp_path / "gateway").mkdir()
    await gateway.run()
    yield gateway
    await gateway.close()


@pytest.fixture
async def sidecar(tmp_path: Path, origin: Origin, registry: EmbeddedRegistry) -> AsyncIterator[Sidecar]:
    sidecar = Sidecar(tmp_path, origin, registry)
    await sidecar.run()
    yield sidecar
    await sidecar.close()


def test_the_shipped_rules_and_their_tests_pass() -> None:
    promtool("check", "rules", str(ALERTS))
    promtool("check", "config", str(ALERTS.parent / "prometheus.yaml"))
    promtool("test", "rules", str(ALERTS.parent / "alerts.test.yaml"))


async def test_every_query_finds_what_a_running_gateway_exports(
    tmp_path: Path, gateway: Gateway, sidecar: Sidecar
) -> None:
    async def traffic() -> None:
        for _ in range(3):
            await gateway.ask("/A/x?group=gray")
            await gateway.ask("/A/x")
            await gateway.ask("/nowhere")
            await sidecar.serve()
            await sidecar.call(sidecar.outbound, ("x-gray-tag", "blue"))

    await traffic()
    for port in (gateway.admin, sidecar.admin):
        promtool("check", "metrics", given=await gateway.wait_ok(port, "/metrics"))
    prometheus = Prometheus(tmp_path)
    try:
        await prometheus.start(f"127.0.0.1:{gateway.admin}", f"127.0.0.1:{sidecar.admin}")

        async def scraped_twice() -> bool | None:
            await traffic()
            query = 'increase(gateway_requests_total{listener=~"entry|outbound"}[1m]) > 0'
            return len({item["metric"]["listener"] for item in await prometheus.query(query)}) == 2 or None

        await until_found(scraped_twice)
        empty = set()
        for name, query in board_queries().items():
            # Fallbacks are those of the sidecar's calls here.
            tag = "blue" if "Fallbacks" in name else "gray"
            if not await prometheus.query(filled(query, tag=tag)):
                empty.add(name)
        assert empty == QUIET
        for query in alert_queries().values():
            await prometheus.query(query)
        rules = [rule for group in (await prometheus.ask("rules"))["groups"] for rule in group["rules"]]
        assert {rule["name"] for rule in rules} == set(alert_queries())
        assert [rule["lastError"] for rule in rules if rule.get("lastError")] == []
        assert [alert["labels"]["alertname"] for alert in (await prometheus.ask("alerts"))["alerts"]] == []
    finally:
        await prometheus.stop()
