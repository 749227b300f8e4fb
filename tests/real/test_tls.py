"""A real Consul that speaks TLS and takes only clients with a certificate: instances and rules."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest

from gateway.errors import RegistryError
from gateway.registry.base import Registration
from gateway.registry.consul.kind import ConsulKind
from gateway.release.ports import free_port
from gateway.rulesources.making import make_mirror
from gateway.settings import ConsulRegistrySettings, RemoteRules
from tests.support.certificates import Authority
from tests.support.consul import Consul, needs_consul
from tests.support.wait import until

pytestmark = [pytest.mark.real, needs_consul]

NAME = "server.dc1.consul"
ME = Registration("orders", "127.0.0.1", 8081, "gray", 2.0, {"version": "2"})


class Secured:
    """An agent with HTTPS, beside the plain port that tells when it is there, and the settings of a client."""

    def __init__(self, folder: Path) -> None:
        authority = Authority()
        self.folder = folder
        self.ca = authority.trust(folder)
        server = authority.issue(folder, "server", NAME, "localhost")
        self.client = authority.issue(folder, "client", "gateway.internal")
        self.port = free_port()
        files = f'ca_file = "{self.ca}" cert_file = "{server["cert"]}" key_file = "{server["key"]}"'
        terms = f"tls {{ https {{ {files} verify_incoming = true }} }} ports {{ https = {self.port} }}"
        self.consul = Consul(folder, "-hcl", terms)

    def values(self, **others: Any) -> dict[str, Any]:
        address = {"address": f"127.0.0.1:{self.port}", "scheme": "https", "ca": self.ca, "server_name": NAME}
        return {**address, **self.client, **others}

    def adapter(self, **others: Any) -> Any:
        given = {key: value for key, value in self.values(**others).items() if value is not None}
        return ConsulKind().adapter(ConsulRegistrySettings.model_validate({"kind": "consul", **given}), None)


@pytest.fixture
async def secured(tmp_path: Path) -> AsyncIterator[Secured]:
    secured = Secured(tmp_path)
    await secured.consul.start()
    yield secured
    await secured.consul.stop()


async def test_instances_are_registered_and_found(secured: Secured) -> None:
    adapter = secured.adapter()
    await adapter.register(ME)
    async with aclosing(adapter.watch("orders")) as lists:
        async for listing in lists:
            if listing.instances:
                break
    assert [(item.address, item.tag) for item in listing.instances] == [("127.0.0.1:8081", "gray")]
    await adapter.deregister(ME)
    await adapter.close()


@pytest.mark.parametrize(
    "others", [{"cert": None, "key": None}, {"server_name": None}, {"ca": None}], ids=["no certificate", "name", "CA"]
)
async def test_otherwise_the_two_do_not_come_together(secured: Secured, others: dict[str, Any]) -> None:
    adapter = secured.adapter(**others)
    with pytest.raises(RegistryError):
        await adapter.register(ME)
    await adapter.close()


async def test_rules_are_kept_there(secured: Secured) -> None:
    changed: list[str] = []

    async def change(what: str) -> None:
        changed.append(what)

    source = RemoteRules.model_validate({"consul": "gray/rules.yaml", **secured.values()})
    mirror = make_mirror(source, secured.folder, change)
    mirror.start()
    await mirror.asked()
    await mirror.publish(mirror.path, "lane_groups: []\n")
    assert mirror.path.read_text() == "lane_groups: []\n"
    mirror.renew()  # the files may have changed: what is read again serves as before
    await mirror.publish(mirror.path, "lane_groups: [] # closed\n")
    await until(lambda: mirror.is_up)
    await mirror.close()
