"""What a sidecar tells its successor, registers, and follows."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from gateway import hop
from gateway.app.sidecar import Sidecar
from gateway.app.sockets import Sockets
from gateway.facade.naming import Application
from gateway.instance import Instance
from gateway.registry.embedded.server import EmbeddedRegistry
from gateway.registry.embedded.store import Lease, ServiceKey
from gateway.yaml.writing import write_yaml
from tests.support.certificates import Authority
from tests.support.roles import SIDECAR
from tests.support.wait import until

KEY = ServiceKey.of("", "", "b")
SAID = Application("10.0.0.7", 8080, 3.0, True, {"version": "1"})


class Beside:
    """A sidecar beside an application that is up, with or without a façade."""

    async def start(self, folder: Path, registry: EmbeddedRegistry, **values: Any) -> None:
        self.parts = AsyncExitStack()
        application = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0)
        self.parts.callback(application.close)
        port = application.sockets[0].getsockname()[1]
        config = {
            **SIDECAR,
            "app": f"127.0.0.1:{port}",
            "advertise": "192.0.2.1",
            "drain": {"delay": 0, "timeout": "1s"},
            "registry": {"kind": "nacos", "address": registry.address, "interval": "100ms"},
            **values,
        }
        path = folder / "sidecar.yaml"
        path.write_text(write_yaml(config))
        self.sidecar = Sidecar(path)
        self.sockets = Sockets()
        await self.sidecar.start(self.parts, self.sockets)

    @property
    def port(self) -> int:
        """Where it listens for peers."""
        [port] = [sock.getsockname()[1] for name, sock in self.sockets._used if name == "inbound"]
        return int(port)


@pytest.fixture
async def beside() -> AsyncIterator[Beside]:
    beside = Beside()
    yield beside
    await beside.parts.aclose()
    beside.sockets.close()


def registered(registry: EmbeddedRegistry) -> list[Lease]:
    return list(registry.store.instances(KEY))


async def test_before_it_has_started_there_is_nothing_to_tell_and_no_log_to_open(tmp_path: Path) -> None:
    sidecar = Sidecar(tmp_path / "sidecar.yaml")
    sidecar.reopen_logs()
    assert sidecar.state() == {}


async def test_it_is_registered_where_peers_reach_it_until_it_stops(
    tmp_path: Path, registry: EmbeddedRegistry, beside: Beside
) -> None:
    await beside.start(tmp_path, registry, tag="gray", weight=2, metadata={"zone": "1"})
    await until(lambda: registered(registry))
    [lease] = registered(registry)
    assert (lease.host, lease.port, lease.weight) == ("192.0.2.1", beside.port, 2.0)
    assert lease.metadata == {"zone": "1", "gray.tag": "gray", hop.SIDECAR_KEY: "b", hop.PROTOCOL_KEY: "h2c"}
    await beside.parts.aclose()
    assert registered(registry) == []


class Told:
    """Registrations that only note what they are told."""

    def __init__(self) -> None:
        self.log: list[str] = []

    async def withdraw(self) -> None:
        self.log.append("withdraw")

    async def stop(self) -> None:
        self.log.append("stop")


async def test_a_successor_goes_on_with_what_it_knew_and_its_registration_is_not_taken_back(
    tmp_path: Path, registry: EmbeddedRegistry, beside: Beside
) -> None:
    """The instance keeps serving at the same address."""
    await beside.start(tmp_path, registry)
    await until(lambda: registered(registry))
    beside.sidecar._know({"memory": [("trace", "gray")]})
    assert await beside.sidecar.hand_over() == {
        "memory": [("trace", "gray")],
        "application": None,
        "copies": [],
        "drains": [],
    }
    assert len(registered(registry)) == 1
    told: Any = Told()
    beside.sidecar._registrations = told
    await beside.parts.aclose()
    assert told.log == []


async def test_one_without_a_successor_is_found_no_more_before_it_drains(
    tmp_path: Path, registry: EmbeddedRegistry, beside: Beside
) -> None:
    await beside.start(tmp_path, registry)
    registrations = beside.sidecar._registrations
    told: Any = Told()
    beside.sidecar._registrations = told
    await beside.parts.aclose()
    assert told.log == ["withdraw", "stop"]
    await registrations.stop()


FACADE = {"facade": {"nacos": "127.0.0.1:0"}}


async def test_with_a_facade_it_is_registered_once_its_application_is(
    tmp_path: Path, registry: EmbeddedRegistry, beside: Beside
) -> None:
    await beside.start(tmp_path, registry, **FACADE)
    sidecar = beside.sidecar
    assert sidecar._facade is not None
    await until(lambda: sidecar._watch.is_up)
    assert (sidecar._takes_requests, registered(registry)) == (False, [])
    sidecar._facade._registered(SAID)
    await until(lambda: registered(registry))
    [lease] = registered(registry)
    assert (lease.host, lease.port, lease.weight) == ("192.0.2.1", beside.port, 3.0)
    assert lease.metadata == {"version": "1", hop.SIDECAR_KEY: "b", hop.PROTOCOL_KEY: "h2c"}


async def test_a_successor_knows_what_the_application_has_registered(
    tmp_path: Path, registry: EmbeddedRegistry, beside: Beside
) -> None:
    await beside.start(tmp_path, registry, **FACADE)
    sidecar = beside.sidecar
    known = {"host": "10.0.0.7", "port": 8080, "weight": 3.0, "enabled": True, "metadata": {"version": "1"}}
    sidecar._know({"memory": [], "application": known, "copies": [], "drains": []})
    assert sidecar._facade is not None
    assert sidecar._facade.application == SAID
    assert json.loads(json.dumps(sidecar.state())) == {"memory": [], "application": known, "copies": [], "drains": []}
    await until(lambda: registered(registry))


async def test_what_the_application_follows_is_kept_whether_anybody_is_there_or_not(
    tmp_path: Path, registry: EmbeddedRegistry, beside: Beside
) -> None:
    await beside.start(tmp_path, registry, **FACADE)
    sidecar = beside.sidecar
    assert sidecar._facade is not None
    assert sidecar._kept() == {"b"}
    sidecar._facade._asked.add("c")
    assert sidecar._kept() == {"b", "c"}


async def test_without_a_facade_nothing_is_kept(tmp_path: Path, registry: EmbeddedRegistry, beside: Beside) -> None:
    await beside.start(tmp_path, registry)
    assert beside.sidecar._kept() == frozenset()


async def test_what_registries_say_reaches_the_plane_and_the_facade(
    tmp_path: Path, registry: EmbeddedRegistry, beside: Beside
) -> None:
    await beside.start(tmp_path, registry, **FACADE)
    sidecar = beside.sidecar
    assert sidecar._plane is not None
    assert sidecar._facade is not None
    there = Instance("127.0.0.1", sidecar._configuration.settings.app.port)
    sidecar._service_changed("b", (there,))
    assert sidecar._plane.instances("b") == (there,)
    assert sidecar._facade.bypasses == 1


async def test_with_a_mesh_it_registers_that_it_takes_mutual_tls_and_does(
    tmp_path: Path, beside: Beside, registry: EmbeddedRegistry
) -> None:
    authority = Authority()
    pair = authority.issue(tmp_path, "own", "b.mesh.example")
    mesh = {**pair, "ca": authority.trust(tmp_path), "identity": "{service}.mesh.example"}
    await beside.start(tmp_path, registry, mesh=mesh)
    await until(lambda: registry.store.instances(KEY))
    (lease,) = registry.store.instances(KEY)
    assert lease.metadata == {hop.SIDECAR_KEY: "b", hop.PROTOCOL_KEY: "h2c", hop.MTLS_KEY: "true"}
    context = ssl.create_default_context(cafile=mesh["ca"])
    context.load_cert_chain(pair["cert"], pair["key"])
    _, writer = await asyncio.open_connection("127.0.0.1", beside.port, ssl=context, server_hostname="b.mesh.example")
    writer.close()
