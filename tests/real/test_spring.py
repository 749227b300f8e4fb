"""A Spring Cloud chain that knows nothing of lanes, each instance behind a sidecar with a façade: the scenario's two answers.

RestTemplate and WebClient lead to B, OpenFeign to C; the OpenTelemetry agent carries `traceparent`. `make clients` builds it.
"""

from __future__ import annotations

import asyncio
import os
import shutil
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession, ClientTimeout

from gateway.release.ports import free_port
from tests.real.test_nacos_clients import clients_folder
from tests.support.process import Program
from tests.support.rnacos import RNacos, needs_rnacos

JAVA = shutil.which("java")
BUILT = clients_folder() / "spring" / "target"
pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(
        JAVA is None or not (BUILT / "chain.jar").exists(),
        reason="no Java, or no chain.jar: NOT tested with Spring Cloud; `make clients` builds it",
    ),
]
STARTING = 400.0
"""Seconds that a JVM may take on a busy machine."""
PLAIN = "A[config=base] -> B[config=base] -> C[config=base]"
MARKED = "Agray[config=base] -> B[config=base] -> Cgray[config=base]"


class Service:
    """One Boot application and its sidecar."""

    def __init__(self, folder: Path, registry: str, name: str, tag: str = "base") -> None:
        self._folder = folder / f"{name}-{tag}"
        self._folder.mkdir()
        self.service, self._label = f"spring-cloud-{name}", name.upper() + ("" if tag == "base" else tag)
        self._app, self.inbound, outbound, self._admin, facade = (free_port() for _ in range(5))
        self._facade = f"127.0.0.1:{facade}"
        self._sidecar = Program(self._folder)
        self._sidecar.write(
            "sidecar.yaml",
            {
                "service": self.service,
                "tag": tag,
                "app": f"127.0.0.1:{self._app}",
                "inbound": f"127.0.0.1:{self.inbound}",
                "outbound": f"127.0.0.1:{outbound}",
                "admin": f"127.0.0.1:{self._admin}",
                "facade": {"nacos": self._facade},
                "registry": {"kind": "nacos", "address": registry},
                "drain": {"delay": "3s"},
            },
        )
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        await self._sidecar.start("sidecar", "-c", "sidecar.yaml")
        await self._sidecar.wait_ok(self._admin, "/livez")
        assert JAVA is not None
        agent = f"-javaagent:{BUILT / 'opentelemetry-javaagent.jar'}"
        silent = [f"-Dotel.{what}.exporter=none" for what in ("traces", "metrics", "logs")]
        lean = ["-Xmx256m", "-XX:TieredStopAtLevel=1"]
        with (self._folder / "app.log").open("wb") as log:
            self._process = await asyncio.create_subprocess_exec(
                JAVA, *lean, agent, *silent, "-jar", str(BUILT / "chain.jar"),
                f"--server.port={self._app}", f"--label={self._label}",
                env={
                    **os.environ,
                    "SPRING_APPLICATION_NAME": self.service,
                    "SPRING_CLOUD_NACOS_SERVER_ADDR": self._facade,
                    "JM_LOG_PATH": str(self._folder),
                    "HOME": str(self._folder),
                },
                cwd=self._folder, stdout=log, stderr=log,
            )  # fmt: skip

    async def wait_ready(self) -> None:
        await self._sidecar.wait_ok(self._admin, timeout=STARTING)

    async def metric(self, name: str) -> float:
        text = await self._sidecar.wait_ok(self._admin, "/metrics")
        return float(next(line.split()[1] for line in text.splitlines() if line.startswith(name)))

    async def leave(self) -> None:
        """As an operator takes an instance out: the sidecar drains, then the application ends."""
        import signal

        self._sidecar.send(signal.SIGTERM)
        assert await self._sidecar.wait() == 0
        await self.kill()

    async def kill(self) -> None:
        await self._sidecar.close()
        if self._process is not None and self._process.returncode is None:
            self._process.kill()
            await self._process.wait()


class Entry(Program):
    def __init__(self, folder: Path, registry: str) -> None:
        super().__init__(folder)
        self.port, self.admin = free_port(), free_port()
        lane = {"name": "gray", "tag": "gray", "match": [{"param": "group", "equals": "gray"}]}
        names = [f"spring-cloud-{name}" for name in "abc"]
        self.write("rules.yaml", {"lane_groups": [{"name": "demo", "services": names, "lanes": [lane]}]})
        self.write(
            "gateway.yaml",
            {
                "listen": f"127.0.0.1:{self.port}",
                "admin": f"127.0.0.1:{self.admin}",
                "registry": {"kind": "nacos", "address": registry},
                "routes": [{"path": "/A", "service": "spring-cloud-a", "strip_prefix": True}],
                "rules": "rules.yaml",
            },
        )

    async def answers(self, target: str, times: int) -> Counter[str]:
        seen: Counter[str] = Counter()
        async with ClientSession(timeout=ClientTimeout(total=60)) as session:
            for _ in range(times):
                async with session.get(f"http://127.0.0.1:{self.port}/A{target}") as response:
                    seen[await response.text()] += 1
        return seen


@pytest.fixture(params=["embedded", pytest.param("rnacos", marks=needs_rnacos)])
async def address(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[str]:
    server: Any
    if request.param == "embedded":
        folder = tmp_path / "registry"
        folder.mkdir()
        server, address = Program(folder), f"127.0.0.1:{free_port()}"
        await server.start("registry", "serve", "--listen", address, "--warmup", "0")
        await server.wait_ok(int(address.split(":")[1]), "/livez")
    else:
        server = RNacos(tmp_path)
        await server.start()
        address = server.address
    form = {
        "dataId": "chain.properties",
        "group": "DEFAULT_GROUP",
        "content": "config.value=base",
        "type": "properties",
    }
    async with ClientSession() as session:
        async with session.post(f"http://{address}/nacos/v1/cs/configs", data=form) as response:
            assert response.status == 200
    yield address
    await (server.close() if isinstance(server, Program) else server.stop())


async def test_the_two_answers_and_a_gray_cycle_under_load(address: str, tmp_path: Path) -> None:
    base = [Service(tmp_path, address, name) for name in "abc"]
    gray = [Service(tmp_path, address, name, "gray") for name in "ac"]
    entry = Entry(tmp_path, address)
    try:
        for service in base:
            await service.start()
        for service in base:
            await service.wait_ready()
        await entry.start("serve", "-c", "gateway.yaml")
        await entry.wait_ok(entry.admin)
        await entry.answers("/a", 3)  # a JVM's first calls take their time
        await entry.answers("/w", 3)
        seen: dict[str, Counter[str]] = {"/a": Counter(), "/a?group=gray": Counter(), "/w": Counter()}

        async def ask(target: str) -> None:
            while True:
                seen[target] += await entry.answers(target, 5)

        load = [asyncio.create_task(ask(target)) for target in seen]
        for service in gray:
            await service.start()
        for service in gray:
            await service.wait_ready()
        for target in ("/a?group=gray", "/w?group=gray"):
            async with asyncio.timeout(60):  # the first of them may come before every sidecar has heard of the last one
                while await entry.answers(target, 5) != {MARKED: 5}:
                    pass
        assert await entry.answers("/a", 10) == {PLAIN: 10}
        for service in gray:
            await service.leave()
        assert await entry.answers("/a?group=gray", 10) == {PLAIN: 10}
        for task in load:
            task.cancel()
        await asyncio.gather(*load, return_exceptions=True)
        assert seen["/a"].keys() == seen["/w"].keys() == {PLAIN}
        parts = {part for answer in seen["/a?group=gray"] for part in answer.split(" -> ")}
        assert parts == {f"{label}[config=base]" for label in ("A", "Agray", "B", "C", "Cgray")}
        assert [await service.metric("gateway_bypass_suspected_total") for service in base] == [0.0] * 3
    finally:
        for service in (*base, *gray):
            await service.kill()
        await entry.close()
