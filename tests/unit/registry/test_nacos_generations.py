"""Nacos servers of each generation, wrong ports and log-ins: each works, or the error names what to change."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Callable

import pytest
from aiohttp import web

from gateway.errors import RegistryError
from gateway.registry.base import Registration
from gateway.registry.nacos.adapter import NacosAdapter
from gateway.registry.nacos.client import LOGIN_PAUSE, Credentials, NacosClient

V1 = "/nacos/v1/ns/instance/list"
V2 = "/nacos/v2/ns/instance/list"
V3 = "/nacos/v3/client/ns/instance/list"
GONE_V2 = json.dumps({"status": 410, "error": "Gone", "message": '{"code":40000}', "path": V2})

Answer = tuple[int, str]


class Server:
    """Answers by path; what it does not know with `otherwise`."""

    def __init__(self) -> None:
        self.paths: dict[str, Answer] = {}
        self.otherwise: Answer = (404, '{"status":404,"message":"No endpoint GET"}')
        self.judge: Callable[[web.Request], Answer | None] = lambda request: None
        self.requests: list[web.Request] = []
        self.logins: list[dict[str, str]] = []
        self.address = ""

    async def answer(self, request: web.Request) -> web.Response:
        self.requests.append(request)
        if "login" in request.path:
            self.logins.append({key: str(value) for key, value in (await request.post()).items()})
        status, text = self.judge(request) or self.paths.get(request.path, self.otherwise)
        return web.Response(status=status, text=text)

    @property
    def asked(self) -> list[str]:
        return [request.path for request in self.requests]

    async def run(self) -> web.AppRunner:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self.answer)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        self.address = f"127.0.0.1:{runner.addresses[0][1]}"
        return runner


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    server = Server()
    runner = await server.run()
    yield server
    await runner.cleanup()


async def failure(server: Server, credentials: Credentials | None = None) -> RegistryError:
    adapter = NacosAdapter(NacosClient([server.address], credentials))
    with pytest.raises(RegistryError) as raised:
        await adapter.instances("orders")
    await adapter.close()
    return raised.value


async def test_a_server_that_has_v2_alone_is_told_how_to_serve_us(server: Server) -> None:
    server.paths[V2] = (200, '{"code":0,"data":{"hosts":[]}}')
    error = await failure(server)
    assert error.reason == "api"
    assert "nacos.core.api.compatibility.client.enabled=true" in str(error)


async def test_what_is_no_nacos_at_all_is_told_by_its_port(server: Server) -> None:
    error = await failure(server)
    assert error.reason == "api"
    assert "8848" in str(error)


async def test_the_console_asks_for_a_login_and_the_error_says_that_it_may_be_the_wrong_port(server: Server) -> None:
    server.otherwise = (403, '{"code":403,"message":"Code: 401, Message: User not found!"}')
    error = await failure(server)
    assert error.reason == "auth"
    assert "not the console's" in str(error)
    assert "username" in str(error)


async def test_a_server_of_3_1_is_spoken_to_in_v3_though_it_has_v1_too(server: Server) -> None:
    server.paths[V3] = (200, '{"code":0,"data":[{"ip":"10.0.0.1","port":80}]}')
    server.paths[V1] = (200, '{"hosts":[]}')
    server.paths[V2] = (410, GONE_V2)
    adapter = NacosAdapter(NacosClient([server.address]))
    assert [item.address for item in (await adapter.instances("orders")).instances] == ["10.0.0.1:80"]
    assert adapter.describe()["generation"] == "v3"
    assert V1 not in server.asked
    await adapter.close()


async def test_410_for_what_worked_is_asked_about_again_and_then_works(server: Server) -> None:
    server.paths[V1] = (200, '{"hosts":[]}')
    adapter = NacosAdapter(NacosClient([server.address]))
    await adapter.instances("orders")
    server.paths = {V1: (410, GONE_V2), V3: (200, '{"code":0,"data":[]}')}
    with pytest.raises(RegistryError) as raised:
        await adapter.instances("orders")
    assert raised.value.reason == "api"
    await adapter.instances("orders")
    assert adapter.describe()["generation"] == "v3"
    await adapter.close()


async def test_a_server_that_is_warming_up_says_so(server: Server) -> None:
    server.otherwise = (503, "server is STARTING now, please try again later!")
    assert (await failure(server)).reason == "warming"


@pytest.mark.parametrize(("code", "reason"), [(10000, "bad_response"), (10001, "auth"), (40000, "api")])
async def test_v3_codes_are_errors(server: Server, code: int, reason: str) -> None:
    server.paths[V3] = (200, json.dumps({"code": code, "message": "no", "data": None}))
    assert (await failure(server)).reason == reason


async def test_an_instance_unknown_to_v3_or_v1_is_registered_again(server: Server) -> None:
    me = Registration("orders", "10.0.0.1", 80)
    server.paths[V3] = (200, '{"code":0,"data":[]}')
    server.paths["/nacos/v3/client/ns/instance"] = (200, '{"code":21003,"message":"instance not found","data":null}')
    new = NacosAdapter(NacosClient([server.address]))
    assert not await new.heartbeat(me)
    server.paths = {V1: (200, '{"hosts":[]}'), "/nacos/v1/ns/instance/beat": (200, '{"code":20404}')}
    old = NacosAdapter(NacosClient([server.address]))
    assert not await old.heartbeat(me)
    await asyncio.gather(new.close(), old.close())


class TestLogin:
    USER = Credentials("operator", "s3cret-word")

    @pytest.fixture
    def server(self, server: Server) -> Server:
        """One that wants the token it gave last, in a header."""
        self.token = "first"
        server.paths[V3] = (200, '{"code":0,"data":[]}')

        def judge(request: web.Request) -> Answer | None:
            if request.path == "/nacos/v3/auth/user/login":
                return 200, json.dumps({"accessToken": self.token, "tokenTtl": 18000})
            return None if request.headers.get("accessToken") == self.token else (403, "token invalid!")

        server.judge = judge
        return server

    async def test_many_services_log_in_once_and_again_when_the_server_has_forgotten(self, server: Server) -> None:
        adapter = NacosAdapter(NacosClient([server.address], self.USER))
        await asyncio.gather(*(adapter.instances(f"s{number}") for number in range(20)))
        assert len(server.logins) == 1
        self.token = "second"
        await asyncio.gather(*(adapter.instances(f"s{number}") for number in range(20)))
        assert len(server.logins) == 2
        await adapter.close()

    async def test_a_token_is_renewed_before_it_ends(self, server: Server) -> None:
        now = 0.0
        adapter = NacosAdapter(NacosClient([server.address], self.USER, lambda: now))
        await adapter.instances("orders")
        now = 0.9 * 18000 - 1
        await adapter.instances("orders")
        assert len(server.logins) == 1
        now += 1
        await adapter.instances("orders")
        assert len(server.logins) == 2
        await adapter.close()

    async def test_secrets_are_in_no_url_and_in_no_log(self, server: Server, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level(logging.DEBUG)
        adapter = NacosAdapter(NacosClient([server.address], self.USER))
        await adapter.instances("orders")
        assert server.logins == [{"username": "operator", "password": "s3cret-word"}]
        urls = "".join(str(request.url) for request in server.requests)
        assert "s3cret-word" not in urls + caplog.text
        assert "first" not in urls + caplog.text
        await adapter.close()

    async def test_a_token_travels_in_the_url_only_where_the_server_takes_it_nowhere_else(self, server: Server) -> None:
        def judge(request: web.Request) -> Answer | None:
            if request.path == "/nacos/v1/auth/login":
                return 200, json.dumps({"accessToken": "only", "tokenTtl": 18000})
            if "login" in request.path:
                return 404, ""
            return None if request.query.get("accessToken") == "only" else (403, "unknown user!")

        server.judge = judge
        adapter = NacosAdapter(NacosClient([server.address], self.USER))
        await adapter.instances("orders")
        await adapter.instances("orders")
        assert "accessToken" in server.requests[-1].query
        await adapter.close()

    async def test_a_wrong_password_is_named_and_not_shown(self, server: Server) -> None:
        server.judge = lambda request: (403, "unknown user!")
        error = await failure(server, self.USER)
        assert error.reason == "auth"
        assert "is the password right" in str(error)
        assert "s3cret-word" not in str(error)

    async def test_who_may_not_see_one_service_does_not_log_in_for_each_look(self, server: Server) -> None:
        now = 0.0
        judge = server.judge
        server.judge = lambda request: (
            (403, "authorization failed!") if request.query.get("serviceName") == "secret" else judge(request)
        )
        adapter = NacosAdapter(NacosClient([server.address], self.USER, lambda: now))
        await adapter.instances("orders")
        for _ in range(5):
            with pytest.raises(RegistryError) as raised:
                await adapter.instances("secret")
            assert raised.value.reason == "auth"
        assert len(server.logins) == 2
        assert not any("accessToken" in request.query for request in server.requests)
        now += LOGIN_PAUSE
        with pytest.raises(RegistryError):
            await adapter.instances("secret")
        assert len(server.logins) == 3
        await adapter.close()


async def test_many_services_find_the_generation_out_once(server: Server) -> None:
    server.paths[V1] = (200, '{"hosts":[]}')
    adapter = NacosAdapter(NacosClient([server.address]))
    await asyncio.gather(*(adapter.instances(f"s{number}") for number in range(20)))
    assert server.asked.count(V3) == 1
    await adapter.close()


class TestSeveralNodes:
    """An empty list of one node is not believed where another knows better: it may have just started."""

    @pytest.fixture
    async def nodes(self) -> AsyncIterator[list[Server]]:
        nodes = [Server(), Server()]
        runners = [await node.run() for node in nodes]
        for node in nodes:
            node.paths[V3] = (200, '{"code":0,"data":[]}')
        yield nodes
        for runner in runners:
            await runner.cleanup()

    async def test_the_fuller_answer_counts_and_its_node_is_kept_to(self, nodes: list[Server]) -> None:
        adapter = NacosAdapter(NacosClient([node.address for node in nodes]))
        nodes[1].paths[V3] = (200, '{"code":0,"data":[{"ip":"10.0.0.1","port":80}]}')
        listing = await adapter.instances("orders")
        assert ([item.address for item in listing.instances], listing.node) == (["10.0.0.1:80"], nodes[1].address)
        asked = len(nodes[0].requests)
        await adapter.instances("orders")
        assert len(nodes[0].requests) == asked
        await adapter.close()

    async def test_what_is_empty_everywhere_moves_nobody(self, nodes: list[Server]) -> None:
        adapter = NacosAdapter(NacosClient([node.address for node in nodes]))
        for _ in range(3):
            listing = await adapter.instances("orders")
            assert (listing.instances, listing.node) == ((), nodes[0].address)
        assert len(nodes[1].requests) == 3
        await adapter.close()

    async def test_one_that_is_alone_is_believed(self, nodes: list[Server]) -> None:
        adapter = NacosAdapter(NacosClient([nodes[0].address, "127.0.0.1:1"]))
        assert (await adapter.instances("orders")).instances == ()
        await adapter.close()
