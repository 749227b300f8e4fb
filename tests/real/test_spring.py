"""A Spring Cloud chain that knows nothing of lanes, each instance behind a sidecar with a façade: the scenario's two answers.

RestTemplate and WebClient lead to B, OpenFeign to C; the OpenTelemetry agent carries `traceparent`. `make clients` builds it.
"""

from __future__ import annotations

import asyncio
import os
import shutil
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession, ClientTimeout

from gateway.app.doctor.examine import examine
from gateway.app.doctor.finding import OK
from gateway.registry.embedded.server import EmbeddedRegistry
from gateway.release.ports import free_port
from tests.real.test_nacos_clients import clients_folder
from tests.support.javanacos import needs_java_nacos
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
NAMES = [f"spring-cloud-{name}" for name in "abc"]
CHAIN = BUILT / "chain.jar"
AGENT = [
    f"-javaagent:{BUILT / 'opentelemetry-javaagent.jar'}",
    *(f"-Dotel.{what}.exporter=none" for what in ("traces", "metrics", "logs")),
]
PLAIN = "A[config=base] -> B[config=base] -> C[config=base]"
MARKED = "Agray[config=base] -> B[config=base] -> Cgray[config=base]"


class Service:
    """One Boot application and its sidecar. `options` are the JVM's, the OpenTelemetry agent if there are none."""

    def __init__(
        self, folder: Path, registry: str, name: str, tag: str = "base", jar: Path = CHAIN, options: Sequence[str] = ()
    ) -> None:
        self._folder = folder / f"{name}-{tag}"
        self._folder.mkdir()
        self._jar, self._options = jar, options or AGENT
        self.service, self._label = f"spring-cloud-{name}", name.upper() + ("" if tag == "base" else tag)
        self._app, self.inbound, outbound, self.admin, facade = (free_port() for _ in range(5))
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
                "admin": f"127.0.0.1:{self.admin}",
                "facade": {"nacos": self._facade},
                "registry": {"kind": "nacos", "address": registry},
                "drain": {"delay": "3s"},
            },
        )
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        await self._sidecar.start("sidecar", "-c", "sidecar.yaml")
        await self._sidecar.wait_ok(self.admin, "/livez")
        await self.start_application()

    async def start_application(self, *more: str) -> None:
        assert JAVA is not None
        lean = ["-Xmx256m", "-XX:TieredStopAtLevel=1"]
        with (self._folder / "app.log").open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                JAVA, *lean, *self._options, *more, "-jar", str(self._jar),
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
        await self._sidecar.wait_ok(self.admin, timeout=STARTING)

    async def restart_application(self, *more: str) -> None:
        """With more options; returns when requests may come."""
        await self.kill_application()
        await self._sidecar.wait_ok(self.admin, status=503)
        await self.start_application(*more)
        await self.wait_ready()

    async def metric(self, name: str) -> float:
        text = await self._sidecar.wait_ok(self.admin, "/metrics")
        return float(next(line.split()[1] for line in text.splitlines() if line.startswith(name)))

    async def leave(self) -> None:
        """As an operator takes an instance out: the sidecar drains, then the application ends."""
        import signal

        self._sidecar.send(signal.SIGTERM)
        assert await self._sidecar.wait() == 0
        await self.kill()

    async def kill(self) -> None:
        await self._sidecar.close()
        await self.kill_application()

    async def kill_application(self) -> None:
        if self._process is not None and self._process.returncode is None:
            self._process.kill()
            await self._process.wait()


class Entry(Program):
    def __init__(self, folder: Path, registry: str, names: Sequence[str] = NAMES, first: str = "") -> None:
        """`first` is the service that all requests go to, as they are; left out: /A leads to A."""
        super().__init__(folder)
        self.port, self.admin = free_port(), free_port()
        lane = {"name": "gray", "tag": "gray", "match": [{"param": "group", "equals": "gray"}]}
        route = {"path": "/", "service": first} if first else {"path": "/A", "service": names[0], "strip_prefix": True}
        self.write("rules.yaml", {"lane_groups": [{"name": "demo", "services": list(names), "lanes": [lane]}]})
        self.write(
            "gateway.yaml",
            {
                "listen": f"127.0.0.1:{self.port}",
                "admin": f"127.0.0.1:{self.admin}",
                "registry": {"kind": "nacos", "address": registry},
                "routes": [route],
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


@pytest.fixture(
    params=[
        "embedded",
        pytest.param("rnacos", marks=needs_rnacos),
        pytest.param("nacos", marks=needs_java_nacos),
    ]
)
async def address(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[str]:
    server: Any
    if request.param == "embedded":
        folder = tmp_path / "registry"
        folder.mkdir()
        server, address = Program(folder), f"127.0.0.1:{free_port()}"
        await server.start("registry", "serve", "--listen", address, "--warmup", "0")
        await server.wait_ok(int(address.split(":")[1]), "/livez")
    elif request.param == "nacos":
        server = request.getfixturevalue("java_nacos")
        address = server.address
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


GATEWAY = clients_folder() / "spring-gateway" / "target" / "gateway.jar"
MICROMETER = BUILT / "chain-micrometer.jar"


@pytest.mark.skipif(
    not (GATEWAY.exists() and MICROMETER.exists()),
    reason="no gateway.jar or chain-micrometer.jar: NOT tested with Spring Cloud Gateway; `make clients` builds them",
)
async def test_a_hop_that_loses_the_tag_is_seen_behind_spring_cloud_gateway_and_a_dependency_mends_it(
    tmp_path: Path,
) -> None:
    """Requests come by Spring Cloud Gateway, which has `lb://` routes; micrometer carries traces; C has an upper-case name.

    Without `feign-micrometer` (or with it switched off, as here) OpenFeign forwards nothing.
    """
    registry = EmbeddedRegistry("127.0.0.1", 0, warmup=0)
    await registry.start()
    forgetful = "-Dspring.cloud.openfeign.micrometer.enabled=false"
    named = "-Dc.name=spring-cloud-C"
    front = Service(tmp_path, registry.address, "front", jar=GATEWAY, options=["-Dreactor.netty.ioWorkerCount=2"])
    a, b = (Service(tmp_path, registry.address, name, jar=MICROMETER, options=[named]) for name in "ab")
    c = Service(tmp_path, registry.address, "C", jar=MICROMETER, options=[named])
    gray = Service(tmp_path, registry.address, "C", "gray", jar=MICROMETER, options=[named])
    services = (front, a, b, c, gray)
    names = ["spring-cloud-front", "spring-cloud-a", "spring-cloud-b", "spring-cloud-C"]
    entry = Entry(tmp_path, registry.address, names, first="spring-cloud-front")
    plain, marked = (f"A[config=none] -> B[config=none] -> {name}[config=none]" for name in ("C", "Cgray"))
    try:
        for service in services:
            await service.start()
        for service in services:
            await service.wait_ready()
        await entry.start("serve", "-c", "gateway.yaml")
        await entry.wait_ok(entry.admin)
        await entry.answers("/a", 3)
        assert await entry.answers("/a", 5) == {plain: 5}
        async with asyncio.timeout(60):
            while await entry.answers("/a?group=gray", 5) != {marked: 5}:
                pass
        assert await lost_tags(b) == []
        await b.restart_application(forgetful)
        await entry.answers("/a", 3)
        assert await entry.answers("/a?group=gray", 5) == {plain: 5}
        assert ("spring-cloud-b → spring-cloud-C", "warning") in await lost_tags(b)
    finally:
        for service in services:
            await service.kill()
        await entry.close()
        await registry.stop()


async def lost_tags(service: Service) -> list[tuple[str, str]]:
    """What doctor says of them, if it is not that there are none."""
    findings = await examine(None, None, [f"127.0.0.1:{service.admin}"])
    return [(item.subject, item.state) for item in findings if item.check == "lost tags" and item.state != OK]
