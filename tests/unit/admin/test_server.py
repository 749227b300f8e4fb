"""The server of the admin API: who is served, and how errors are told."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

import pytest

from gateway.admin.server import AdminServer
from gateway.errors import StartError
from gateway.proxy.server import bind
from tests.support.admin import ShownRole
from tests.support.strangers import ask

TOKEN = "sixteen-letters!"
Make = Callable[..., Coroutine[Any, Any, AdminServer]]


@pytest.fixture
async def make() -> AsyncIterator[Make]:
    servers: list[AdminServer] = []

    async def make(role: ShownRole | None = None, **options: Any) -> AdminServer:
        server = AdminServer("127.0.0.1", 0, role or ShownRole(), **options)
        servers.append(server)
        await server.start()
        return server

    yield make
    for server in servers:
        await server.close()


@pytest.mark.parametrize(
    ("given", "status"),
    [
        ((), 401),
        ((("Authorization", "Bearer wrong"),), 401),
        ((("Authorization", f"Basic {TOKEN}"),), 401),
        ((("Authorization", TOKEN),), 401),
        ((("Authorization", "Bearer \xff"),), 401),
        ((("Authorization", f"Bearer {TOKEN}x"),), 401),
        ((("Authorization", f"bearer  {TOKEN} "),), 200),
        ((("Authorization", f"Bearer {TOKEN}"),), 200),
    ],
)
async def test_with_a_token_nobody_is_served_without_it(
    make: Make, given: tuple[tuple[str, str], ...], status: int
) -> None:
    role = ShownRole()
    server = await make(role, token=TOKEN)
    found, fields, body = await ask(server.port, "GET", "/api/v1/status", given)
    assert found == status
    assert role.log == (["status"] if status == 200 else [])
    if status == 401:
        assert fields["www-authenticate"] == "Bearer"
        assert json.loads(body)["code"] == "unauthorized"


async def test_health_and_metrics_are_free(make: Make) -> None:
    server = await make(token=TOKEN)
    assert [(await ask(server.port, "GET", path))[0] for path in ("/livez", "/readyz", "/metrics")] == [200] * 3
    # Whether there is such an endpoint is nobody else's business.
    assert (await ask(server.port, "GET", "/livez/x"))[0] == 401


async def test_without_a_token_anybody_is_served(make: Make) -> None:
    assert (await ask((await make()).port, "GET", "/api/v1/status"))[0] == 200


async def test_it_is_called_by_names_of_its_own(make: Make) -> None:
    server = await make(names=["gateway.example"])
    for host, status in (("gateway.example", 200), ("other.example", 403), (f"127.0.0.1:{server.port}", 200)):
        assert (await ask(server.port, "GET", "/livez", (("Host", host),)))[0] == status


async def test_what_changes_rules_is_there_only_with_rules(make: Make) -> None:
    server = await make()
    status, _, body = await ask(server.port, "GET", "/api/v1/history")
    assert (status, json.loads(body)["code"]) == (404, "not_found")


async def test_another_method_is_told_which_there_is(make: Make) -> None:
    status, fields, body = await ask((await make()).port, "DELETE", "/api/v1/status")
    assert (status, fields["allow"], json.loads(body)["code"]) == (405, "GET,HEAD", "method_not_allowed")


async def test_a_bug_is_a_problem_and_in_the_log(make: Make, caplog: pytest.LogCaptureFixture) -> None:
    role = ShownRole()
    role.status = lambda: 1 / 0  # type: ignore[assignment,method-assign,return-value]
    status, _, body = await ask((await make(role)).port, "GET", "/api/v1/status")
    assert (status, json.loads(body)["code"]) == (500, "internal_error")
    [record] = [record for record in caplog.records if record.name == "gateway.admin"]
    assert record.getMessage() == "GET /api/v1/status failed"
    assert record.exc_info is not None


async def test_a_port_in_use_is_told_by_its_address() -> None:
    with bind("127.0.0.1", 0) as sock:
        port = sock.getsockname()[1]
        server = AdminServer("127.0.0.1", port, ShownRole())
        with pytest.raises(StartError, match=f"cannot listen on 127.0.0.1:{port} for the admin API"):
            await server.start()
        await server.close()


async def test_it_listens_on_its_host_alone(make: Make) -> None:
    server = await make()
    bind("127.0.0.2", server.port).close()


async def test_it_listens_on_a_socket_that_is_there(make: Make) -> None:
    sock = bind("127.0.0.1", 0)
    server = AdminServer("127.0.0.1", 1, ShownRole())
    await server.start(sock)
    assert server.port == sock.getsockname()[1]
    assert (await ask(server.port, "GET", "/livez"))[0] == 200
    await server.close()
    with pytest.raises(OSError):
        await ask(server.port, "GET", "/livez")
