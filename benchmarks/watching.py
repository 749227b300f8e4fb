"""A gateway that watches a registry with many services: how it is filled, and what is measured."""

from __future__ import annotations

import asyncio
import json
import os
import statistics
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from time import perf_counter

import yaml
from aiohttp import ClientSession, ClientTimeout, TCPConnector, web

from gateway.demo.processes import Process, Processes, ProcessFailed
from gateway.demo.registries import ConsulRegistry, DemoRegistry, NacosRegistry
from gateway.release.ports import free_port

PROBES = 20
"""Instances whose first request is waited for."""
WATCHED = 20.0
"""Seconds over which the CPU of watching is measured."""
INTERVAL = 2.0
"""Seconds between two looks at Nacos: the default."""
TICKS = os.sysconf("SC_CLK_TCK")
FOREVER = {"preserved.heart.beat.timeout": "3600000", "preserved.ip.delete.timeout": "3600000"}


class WideConsul(ConsulRegistry):
    """An agent that takes more connections than by default."""

    options = ("-hcl", "limits { http_max_conns_per_client = 2000 }")


SERVERS: Mapping[str, type[DemoRegistry]] = {
    "nacos": NacosRegistry,
    "consul": ConsulRegistry,
    "consul, 1000 watches": WideConsul,
}


class Bench:
    """One gateway on one registry."""

    host = "127.0.0.1"
    """Where the instances are whose first request is waited for."""

    def __init__(self, kind: str, folder: Path) -> None:
        self.kind = kind
        self.folder = folder
        self.processes = Processes(folder)
        self.port, self.admin = free_port(), free_port()
        self.server: DemoRegistry | None = SERVERS[kind]() if kind in SERVERS else None
        self.address = self.server.address if self.server is not None else f"127.0.0.1:{free_port()}"

    @property
    def settings(self) -> dict[str, object]:
        if self.kind == "embedded":
            return {"kind": "embedded", "listen": self.address, "warmup": 0}
        if self.kind == "nacos":
            return {"kind": "nacos", "address": self.address, "interval": INTERVAL}
        watches = {"watches": 1000} if self.kind == "consul, 1000 watches" else {}
        return {"kind": "consul", "address": self.address, **watches}

    async def start_gateway(self, services: Iterable[str]) -> Process:
        config = self.folder / "gateway.yaml"
        settings = {
            "listen": f"127.0.0.1:{self.port}",
            "admin": f"127.0.0.1:{self.admin}",
            "registry": self.settings,
            "routes": [{"path": f"/{name}", "service": name} for name in services],
        }
        config.write_text(yaml.safe_dump(settings))
        process = await self.processes.start("gateway", "-m", "gateway", "serve", "-c", str(config))
        await self.wait(f"http://127.0.0.1:{self.admin}/readyz")
        return process

    async def wait(self, url: str) -> None:
        async with asyncio.timeout(120):
            while True:
                self.processes.check()
                try:
                    async with self.session.get(url) as response:
                        if response.status == 200:
                            return
                except OSError:
                    pass
                await asyncio.sleep(0.05)

    async def start_registry(self) -> None:
        if self.server is not None:
            os.environ["RNACOS_NAMING_INSTANCE_TIMEOUT_SECOND"] = "36000"
            os.environ["RNACOS_NAMING_HEALTH_TIMEOUT_SECOND"] = "36000"
            await self.server.start(self.processes, self.folder)
            nacos = "/nacos/v1/ns/service/list?pageNo=1&pageSize=1"
            path = "/v1/status/leader" if self.kind.startswith("consul") else nacos
            await self.wait(f"http://{self.address}{path}")

    async def fill(self, services: Mapping[str, Sequence[str]]) -> None:
        """Registers instances by their hosts, in each service."""
        wanted = [(name, host) for name, hosts in services.items() for host in hosts]
        for start in range(0, len(wanted), 500):
            await asyncio.gather(*(self.register(name, host, 8080) for name, host in wanted[start : start + 500]))

    async def close(self) -> None:
        await self.processes.stop_all()

    async def register(self, service: str, host: str, port: int) -> None:
        if self.kind.startswith("consul"):
            body = {"ID": f"{service}-{host}-{port}", "Name": service, "Address": host, "Port": port}
            url = f"http://{self.address}/v1/agent/service/register"
            async with self.session.put(url, data=json.dumps(body)) as response:
                assert response.status == 200, await response.text()
            return
        form = {"serviceName": service, "ip": host, "port": str(port), "metadata": json.dumps(FOREVER)}
        async with self.session.post(f"http://{self.address}/nacos/v1/ns/instance", params=form) as response:
            assert response.status == 200, await response.text()

    async def run(self, services: int, instances: int) -> list[object]:
        async with ClientSession(connector=TCPConnector(limit=32), timeout=ClientTimeout(total=30)) as self.session:
            names = [f"service-{number}" for number in range(services)]
            probes = [f"probe-{number}" for number in range(PROBES)]
            await self.start_registry()
            gateway = await self.start_gateway([*names, *probes])
            empty = memory(gateway)
            say(f"{self.kind}: registering {services} services of {instances} instances")
            began = perf_counter()
            await self.fill(
                {name: [f"10.{n // 250}.{n % 250}.{i}" for i in range(instances)] for n, name in enumerate(names)}
            )
            registered = perf_counter() - began
            await self.until_known(services * instances)
            say(f"{self.kind}: measuring")
            before = cpu(gateway)
            await asyncio.sleep(WATCHED)
            watching = (cpu(gateway) - before) / WATCHED
            full = memory(gateway)
            delays = [await self.delay(name) for name in probes]
            await self.processes.stop_all()
        return [
            self.kind, services, services * instances, f"{registered:.1f} s", f"{full:.0f} MB", f"{full - empty:.0f} MB",
            f"{watching * 1000:.0f} ms", f"{statistics.median(delays) * 1000:.0f} ms", f"{max(delays) * 1000:.0f} ms",
        ]  # fmt: skip

    async def until_known(self, count: int) -> None:
        async with asyncio.timeout(120):
            while True:
                url = f"http://127.0.0.1:{self.admin}/api/v1/services"
                async with self.session.get(url) as response:
                    services = (await response.json())["services"]
                if sum(pool["size"] for service in services for pool in service["pools"]) >= count:
                    return
                await asyncio.sleep(1.0)

    async def delay(self, service: str) -> float:
        """Seconds from the registration's answer to the first answer of the instance."""

        async def answer(_: web.Request) -> web.Response:
            return web.Response(text="here")

        app = web.Application()
        app.router.add_get("/{path:.*}", answer)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        port = free_port()
        await web.TCPSite(runner, self.host, port).start()
        await self.register(service, self.host, port)
        began = perf_counter()
        while True:
            async with self.session.get(f"http://127.0.0.1:{self.port}/{service}") as response:
                if response.status == 200:
                    break
            await asyncio.sleep(0.002)
        took = perf_counter() - began
        await runner.cleanup()
        return took


def memory(process: Process) -> float:
    """Resident megabytes."""
    for line in Path(f"/proc/{process.pid}/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1]) / 1024
    raise ProcessFailed("no VmRSS")


def cpu(process: Process) -> float:
    """Seconds of CPU so far."""
    fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def say(text: str) -> None:
    print(f"… {text}", flush=True)
