"""No page of somebody else makes an operator's browser change anything, on any endpoint of any listener."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any
from unittest.mock import AsyncMock, MagicMock
from urllib.parse import urlencode

import pytest
from aiohttp import web

from gateway.admin.groups import GroupsApi
from gateway.admin.rules import RulesApi
from gateway.admin.server import AdminServer
from gateway.registry.embedded.server import EmbeddedRegistry
from gateway.registry.embedded.store import ServiceKey
from tests.support.admin import observed
from tests.support.strangers import Attack, ask, attacks, routes


@dataclass
class Listener:
    """One listener, and everything that it could do (a mock: whoever is asked is recorded)."""

    app: web.Application
    port: int
    effects: MagicMock


@pytest.fixture(params=["entry", "sidecar", "token"])
async def admin(request: pytest.FixtureRequest) -> AsyncIterator[Listener]:
    effects = MagicMock()
    effects.view.refresh = AsyncMock()
    effects.view.observed.return_value = observed()
    effects.view.trends.return_value = {}
    effects.view.findings.return_value = []
    effects.groups.segment = AsyncMock(return_value=("alice", "1"))
    has_rules, has_token = request.param != "sidecar", request.param == "token"
    server = AdminServer(
        "127.0.0.1",
        0,
        effects.view,
        explainer=effects.explainer if has_rules else None,
        rules=RulesApi(effects.editor, effects.history, effects.what_if, effects.review) if has_rules else None,
        groups=GroupsApi(effects.groups, effects.review) if has_rules else None,
        drains=effects.drains,
        token="sixteen-letters!" if has_token else "",
    )
    await server.start()
    yield Listener(server.app, server.port, effects)
    await server.close()


async def refused(port: int, method: str, path: str, attack: Attack) -> None:
    status, fields, body = await ask(port, method, path, attack.fields, attack.body)
    assert status == 403, (method, path, attack.name, status, body)
    assert not [name for name in fields if name.startswith("access-control-")]
    if method != "HEAD":
        assert json.loads(body)["code"] in ("wrong_origin", "wrong_host")


async def test_no_endpoint_of_the_admin_api_obeys_a_page(admin: Listener) -> None:
    """Every method of every endpoint, those that there are not included."""
    found = routes(admin.app)
    assert ("GET", "/api/v1/status") in found
    paths = {path for _, path in found} | {"/", "/nothing"}
    for attack in attacks(f"http://127.0.0.1:{admin.port}"):
        for path in paths:
            for method in attack.methods:
                await refused(admin.port, method, path, attack)
    assert admin.effects.mock_calls == []


TOKEN = ("Authorization", "Bearer sixteen-letters!")
OF_PAGES = [
    "text/plain",
    "text/plain;charset=UTF-8",
    "application/x-www-form-urlencoded",
    "multipart/form-data; boundary=x",
]


def changing(admin: Listener) -> list[tuple[str, str]]:
    """What changes something, or takes long: all but GET and explain."""
    return [route for route in routes(admin.app) if route[0] not in ("GET", "HEAD") and "explain" not in route[1]]


@pytest.mark.parametrize(
    "kind", [*OF_PAGES, "application/xml", "application/json, text/plain", "", "application/jsonp"]
)
async def test_what_changes_something_wants_json(admin: Listener, kind: str) -> None:
    """Without a body the type says nothing; it must only not be that of a page."""
    for method, path in changing(admin):
        for body in (b"{}", b"") if kind in OF_PAGES else (b"{}",):
            fields = (TOKEN, *((("Content-Type", kind),) if kind else ()))
            status, fields_of_answer, answer = await ask(admin.port, method, path, fields, body)
            assert (status, fields_of_answer["content-type"]) == (415, "application/problem+json; charset=utf-8")
            assert json.loads(answer)["code"] == "unsupported_media_type"
    assert admin.effects.mock_calls == []


async def test_no_endpoint_takes_more_than_it_needs(admin: Listener) -> None:
    """The refusal comes before the body: none of it has to be sent."""
    fields = (
        TOKEN, ("Content-Type", "application/json"), ("Content-Length", "48000000")
    )  # fmt: skip
    for method, path in routes(admin.app):
        if method not in ("GET", "HEAD"):
            status, _, answer = await ask(admin.port, method, path, fields)
            assert (status, json.loads(answer)["code"]) == (413, "too_large"), (method, path)
    assert admin.effects.mock_calls == []


async def test_a_compressed_body_is_not_unpacked(admin: Listener) -> None:
    fields = (
        TOKEN, ("Content-Type", "application/json"), ("Content-Encoding", "gzip")
    )  # fmt: skip
    for method, path in routes(admin.app):
        if method not in ("GET", "HEAD"):
            status, _, answer = await ask(admin.port, method, path, fields, b"\x1f\x8b\x08\x00")
            assert (status, json.loads(answer)["code"]) == (415, "unsupported_media_type"), (method, path)


async def test_answers_neither_tell_versions_nor_let_a_page_show_them(admin: Listener) -> None:
    for target in ("/livez", "/metrics", "/nothing", "/api/v1/status", "/%zz"):
        _, fields, _ = await ask(admin.port, "GET", target)
        assert "server" not in fields
        assert fields["x-content-type-options"] == "nosniff"
        assert fields["cross-origin-resource-policy"] == "same-origin"
        assert fields["content-security-policy"] == "default-src 'none'; frame-ancestors 'none'"
        assert fields["cache-control"] == "no-store"
    for target in ("x", "/ HTTP/9\r\nX:"):  # what is no HTTP is answered by the library itself
        status, fields, _ = await ask(admin.port, "G@T", target)
        assert (status, "server" in fields, fields["x-content-type-options"]) == (400, False, "nosniff")


INSTANCE: dict[str, Any] = {"serviceName": "a", "ip": "6.6.6.6", "port": 80}
CONFIG = {"dataId": "evil", "groupName": "DEFAULT_GROUP", "group": "DEFAULT_GROUP", "content": "evil"}


async def test_no_call_of_the_registry_obeys_a_page(registry: EmbeddedRegistry) -> None:
    """Parameters in the query or in the form, as a page would have them."""
    app, port = registry._api.app(), int(registry.address.rpartition(":")[2])
    found = routes(app)
    assert ("POST", "/nacos/v1/ns/instance") in found
    everything = urlencode({**INSTANCE, **CONFIG, "heartBeat": "false"})
    for attack in attacks(f"http://{registry.address}"):
        for path in {path for _, path in found} | {"/"}:
            for method in attack.methods:
                await refused(port, method, f"{path}?{everything}", attack)
                if attack.body and "form" in attack.name:
                    await refused(port, method, path, Attack(attack.name, attack.fields, everything.encode()))
    assert registry.store.configs() == {}
    assert registry.store.service_names("", "") == []


async def test_a_get_of_the_registry_has_no_effect(registry: EmbeddedRegistry) -> None:
    """To an address of the network a browser sends a page's GET with nothing that tells it from a program's."""
    port = int(registry.address.rpartition(":")[2])
    everything = urlencode({**INSTANCE, **CONFIG})
    for method, path in routes(registry._api.app()):
        if method in ("GET", "HEAD"):
            status, _, _ = await ask(port, method, f"{path}?{everything}", (("Referer", "http://evil.example/"),))
            assert status in (200, 404)
    assert registry.store.configs() == {}
    assert registry.store.service_names("", "") == []


async def test_a_get_of_the_admin_api_changes_nothing(admin: Listener) -> None:
    """What it may do is look."""
    for method, path in routes(admin.app):
        if method in ("GET", "HEAD"):
            await ask(admin.port, method, path, (TOKEN,))
    names = {name for name, _, _ in admin.effects.mock_calls}
    looking = {
        *(f"view.{name}" for name in ("not_ready", "status", "services", "lanes", "refresh", "observed", "mirrored")),
        *("view.trends", "view.findings", "groups.views", "groups.view", "groups.segments", "groups.segment"),
        *("editor.view", "editor.views", "history.revisions", "history.get"),
    }
    assert {name for name in names if "()" not in name and "__" not in name} <= looking


async def test_real_clients_are_served(registry: EmbeddedRegistry) -> None:
    """Nacos' clients of every language send a query or a form, and neither Origin nor fetch metadata."""
    port = int(registry.address.rpartition(":")[2])
    form = ("Content-Type", "application/x-www-form-urlencoded;charset=UTF-8")
    for number, (fields, in_query) in enumerate(
        [
            ((("User-Agent", "Nacos-Java-Client:v1.4.6"), form), True),
            ((("User-Agent", "Nacos-Go-Client/v1.0.1"), ("Content-Type", "application/x-www-form-urlencoded")), False),
            ((("User-Agent", "Python-urllib/3.11"), ("Content-Type", "application/x-www-form-urlencoded")), False),
            ((("User-Agent", "curl/8.5.0"),), True),
            ((("Host", f"localhost:{port}"),), True),
        ]
    ):
        text = urlencode({**INSTANCE, "serviceName": f"s{number}"})
        target, body = (f"?{text}", b"") if in_query else ("", text.encode())
        status, _, answer = await ask(port, "POST", f"/nacos/v1/ns/instance{target}", fields, body)
        assert (status, answer) == (200, b"ok"), fields
    assert registry.store.service_names("", "") == [f"s{number}" for number in range(5)]


async def test_clients_in_containers_call_it_by_a_name() -> None:
    registry = EmbeddedRegistry("0.0.0.0", 0, warmup=0, names=["registry.prod.example.com"])
    await registry.start()
    port = int(registry.address.rpartition(":")[2])
    target = f"/nacos/v1/ns/instance?{urlencode(INSTANCE)}"
    for host, status in (
        (f"nacos:{port}", 200), ("registry.prod.example.com", 200), ("other.prod.example.com", 403), ("evil.example", 403)
    ):  # fmt: skip
        assert (await ask(port, "POST", target, (("Host", host),)))[0] == status, host
    assert registry.store.instances(ServiceKey.of("", "", "a"))
    await registry.stop()
