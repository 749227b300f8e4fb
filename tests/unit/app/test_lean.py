"""What an idle sidecar and an idle entry gateway have loaded: what their configuration uses, and no more."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

import pytest

from gateway.settings.fields import Model
from gateway.settings.gateway import GatewaySettings
from gateway.settings.sidecar import SidecarSettings
from gateway.yaml.writing import write_yaml
from tests.support.roles import GATEWAY, SIDECAR

START = """
import asyncio, importlib, json, sys
from contextlib import AsyncExitStack
from pathlib import Path
from gateway.app.sockets import Sockets

async def ask(port, path):
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"GET {path} HTTP/1.1\\r\\nHost: 127.0.0.1\\r\\nConnection: close\\r\\n\\r\\n".encode())
    head = await reader.readline()
    await reader.read()
    writer.close()
    return head.split()[1].decode()

async def main():
    async with AsyncExitStack() as parts:
        importlib.import_module(f"gateway.cli.{sys.argv[1]}")
        name, role = {"serve": ("entry", "EntryGateway"), "sidecar": ("sidecar", "Sidecar")}[sys.argv[1]]
        program = getattr(importlib.import_module(f"gateway.app.{name}"), role)(Path(sys.argv[2]))
        await program.start(parts, Sockets())
        statuses = [await ask(program._admin.port, path) for path in sys.argv[3:]]
        print(json.dumps([statuses, sorted(sys.modules)]))

asyncio.run(main())
"""
HEAVY = {
    "aiohttp": "the whole admin API, and registries over HTTP",
    "consul": "registers in Consul",
    "cryptography": "reads certificates and keys",
    "difflib": "what was meant by a name that there is not",
    "gateway.admin.server": "the whole admin API",
    "gateway.app.facade": "stands in for a registry",
    "gateway.app.fleet": "an entry gateway's",
    "gateway.app.routes": "an entry gateway's",
    "gateway.config.sense_routes": "an entry gateway's",
    "gateway.kubernetes.access": "finds a cluster",
    "gateway.kubernetes.client": "speaks to a cluster",
    "gateway.registry.consul.client": "speaks to Consul",
    "gateway.permission.users": "reads passwords",
    "gateway.registry.embedded.store": "keeps what a registry keeps",
    "gateway.registry.nacos.client": "speaks to Nacos",
    "gateway.rules.compile": "compiles rules",
    "gateway.rules.model": "the model of rules",
    "gateway.routing.entry": "an entry gateway's",
    "gateway.rulesources.making": "follows rules on servers",
    "gateway.settings.gates": "an entry gateway's",
    "gateway.settings.gateway": "an entry gateway's",
    "gateway.settings.routes": "an entry gateway's",
    "grpclib": "speaks gRPC",
    "jwt": "reads tokens",
    "multiprocessing": "starts processes of Python",
    "prometheus_client": "is scraped",
    "re2": "rules with patterns",
    "requests": "a part of python-consul",
    "rich": "tables for people",
}


async def loaded(folder: Path, *paths: str, **values: object) -> tuple[list[str], set[str]]:
    """What a sidecar with these settings responds to requests of its admin API, and which heavy modules it has after that."""
    statuses, modules = await started(folder, "sidecar", {**SIDECAR, "drain": {"delay": 0}, **values}, *paths)
    return statuses, HEAVY.keys() & modules


async def started(folder: Path, command: str, settings: dict[str, object], *paths: str) -> tuple[list[str], set[str]]:
    """What a role responds to requests of its admin API, and all modules that it has after that."""
    path = folder / "config.yaml"
    path.write_text(write_yaml(settings))
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", START, command, str(path), *paths),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, errors = await process.communicate()
    assert out, errors.decode()
    statuses, modules = json.loads(out.splitlines()[-1])
    return statuses, set(modules)


async def test_an_idle_one_that_is_probed_has_loaded_nothing_heavy(tmp_path: Path) -> None:
    assert await loaded(tmp_path, "/livez", "/readyz") == (["200", "503"], set())


RULES = {"gateway.rules.compile", "gateway.rules.model", "re2"}


@pytest.mark.parametrize(
    ("values", "paths", "expected"),
    [
        ({}, ["/metrics"], {"prometheus_client"}),
        ({}, ["/api/v1/status"], {"aiohttp", "gateway.admin.server", "prometheus_client", *RULES}),
        ({"rules": "rules.yaml"}, [], RULES),
    ],
    ids=["scraped", "asked for its status", "with rules"],
)
async def test_what_is_used_is_loaded_then(
    tmp_path: Path, values: dict[str, object], paths: list[str], expected: set[str]
) -> None:
    lane = {"name": "gray", "tag": "gray", "match": [{"param": "group", "equals": "gray"}]}
    (tmp_path / "rules.yaml").write_text(write_yaml({"lane_groups": [{"name": "demo", "lanes": [lane]}]}))
    statuses, modules = await loaded(tmp_path, *paths, **values)
    assert set(statuses) <= {"200"}
    assert modules == expected


NOT_OF_AN_ENTRY = {
    "consul": "asks Consul",
    "cryptography": "reads certificates and keys",
    "gateway.gatewayapi.source": "follows routes in a cluster",
    "gateway.kubernetes.access": "finds a cluster",
    "gateway.permission.users": "reads passwords",
    "gateway.registry.embedded.server": "is a registry",
    "gateway.registry.nacos.client": "speaks to Nacos",
    "grpclib": "speaks gRPC",
    "jwt": "reads tokens",
    "multiprocessing": "starts processes of Python",
}


async def test_an_idle_entry_has_loaded_nothing_that_it_does_not_use(tmp_path: Path) -> None:
    statuses, modules = await started(tmp_path, "serve", GATEWAY, "/readyz")
    assert statuses == ["200"]
    assert NOT_OF_AN_ENTRY.keys() & modules == set()


BUILT = """
import gateway.settings.gateway, gateway.settings.sidecar
from gateway.settings.fields import Model

def below(model):
    for one in model.__subclasses__():
        yield from (one, *below(one))

print(*(model.__name__ for model in below(Model) if model.__pydantic_complete__))
"""


async def test_no_settings_are_built_to_make_defaults() -> None:
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", BUILT, stdout=asyncio.subprocess.PIPE)
    out, _ = await process.communicate()
    assert set(out.decode().split()) == {"Address"}


@pytest.mark.parametrize("model", [GatewaySettings, SidecarSettings])
def test_defaults_are_as_if_they_had_been_validated(model: type[Model]) -> None:
    for field in model.model_fields.values():
        if isinstance(field.default, Model):
            assert field.default == type(field.default)(**field.default.model_dump())
