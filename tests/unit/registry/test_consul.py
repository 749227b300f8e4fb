"""What a real Consul cannot be made to do to its clients on demand, done by a server of our own."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web

from gateway.errors import RegistryError
from gateway.instance import Instance
from gateway.registry.consul.adapter import ConsulAdapter
from gateway.registry.consul.bridge import Agent
from gateway.registry.consul.client import BURST, PACE, WAIT, ConsulClient
from gateway.registry.keeper import Keeper
from gateway.rulesources.consul import ConsulDocument, ConsulFolder
from tests.support.wait import until


def entry(port: Any, *, tags: Any = ("tag=gray",), checks: Any = ({"Status": "passing"},), **service: Any) -> Any:
    return {
        "Node": {"Address": "10.0.0.9"},
        "Service": {"Service": "orders", "Address": "10.0.0.1", "Port": port, "Tags": tags, "Meta": {}, **service},
        "Checks": list(checks),
    }


class Server:
    """Answers the next of `answers` (index, body, more headers, status), the last one for ever."""

    def __init__(self) -> None:
        self.answers: list[tuple[str, Any, dict[str, str], int]] = []
        self.queries: list[dict[str, str]] = []
        self.paths: list[str] = []
        self.address = ""

    def then(self, index: str, body: Any = (), status: int = 200, **headers: str) -> None:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        self.answers.append((index, body, named, status))

    async def answer(self, request: web.Request) -> web.Response:
        self.queries.append(dict(request.query))
        self.paths.append(request.raw_path.partition("?")[0])
        if not self.answers:
            await asyncio.sleep(3600)  # nothing changes
        index, body, headers, status = self.answers.pop(0)
        text = body if isinstance(body, str) else json.dumps(body)
        if index:
            headers = {**headers, "X-Consul-Index": index}
        return web.Response(status=status, text=text, headers=headers)


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    server = Server()
    app = web.Application()
    app.router.add_get("/{path:.*}", server.answer)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    server.address = f"127.0.0.1:{site._server.sockets[0].getsockname()[1]}"  # type: ignore[union-attr]
    yield server
    await runner.cleanup()


def adapter_of(server: Server, *, is_stale: bool = True, **options: Any) -> ConsulAdapter:
    client = ConsulClient(server.address, is_stale=is_stale)
    return ConsulAdapter(client, Agent(client), **options)


async def refused(server: Server, **options: Any) -> RegistryError:
    adapter = adapter_of(server, **options)
    with pytest.raises(RegistryError) as raised:
        await adapter.instances("orders")
    await adapter.close()
    return raised.value


async def test_it_waits_with_the_index_and_starts_anew_when_that_goes_backward(server: Server) -> None:
    for index in ("7", "9", "3", "4"):
        server.then(index)
    adapter = adapter_of(server)
    watching = adapter.watch("orders")
    for _ in range(4):
        await anext(watching)
    waiting = asyncio.ensure_future(anext(watching))
    await until(lambda: len(server.queries) == 5)
    assert [query.get("index") for query in server.queries] == [None, "7", "9", None, "4"]
    assert [query.get("wait") for query in server.queries] == [
        None if query.get("index") is None else f"{WAIT}s" for query in server.queries
    ]
    assert all("stale" in query for query in server.queries)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    await adapter.close()


async def test_an_index_of_zero_does_not_make_it_ask_in_a_circle(server: Server) -> None:
    server.then("0")
    adapter = adapter_of(server)
    watching = adapter.watch("orders")
    await anext(watching)
    waiting = asyncio.ensure_future(anext(watching))
    await until(lambda: len(server.queries) == 2)
    assert server.queries[1]["index"] == "1"
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    await adapter.close()


async def test_an_index_that_changes_all_the_time_is_followed_at_a_pace(server: Server) -> None:
    for index in range(1, 200):
        server.then(str(index))
    adapter = adapter_of(server)
    watching = adapter.watch("orders")
    clock = asyncio.get_running_loop().time
    began = clock()
    for _ in range(BURST + 2):
        await anext(watching)
    assert clock() - began >= PACE  # a lower bound: however slow the machine, it holds
    await watching.aclose()
    await adapter.close()


async def test_answers_that_say_less_than_there_is_are_errors(server: Server) -> None:
    server.then("5", X_Consul_Results_Filtered_By_ACLs="true")
    assert (await refused(server)).reason == "auth"
    server.then("5", X_Consul_KnownLeader="false")
    assert (await refused(server, is_stale=False)).reason == "warming"
    server.then("5", X_Consul_KnownLeader="false")  # empty, which even `stale` does not make true
    assert (await refused(server)).reason == "warming"
    server.then("", "No cluster leader", 500)
    assert (await refused(server)).reason == "warming"
    server.then("", "rpc error making call: EOF", 500)
    assert (await refused(server)).reason == "warming"
    server.then("", "<html>welcome</html>")
    assert (await refused(server)).reason == "bad_response"
    server.then("5", "<html>welcome</html>")
    assert (await refused(server)).reason == "bad_response"
    server.then("5", {"Service": 1})
    assert (await refused(server)).reason == "bad_response"
    server.then("", "Permission denied", 403)
    assert (await refused(server)).reason == "auth"


async def test_a_leader_that_is_lost_does_not_matter_where_any_server_may_answer(server: Server) -> None:
    server.then("5", [entry(80)], X_Consul_KnownLeader="false")
    adapter = adapter_of(server)
    assert len((await adapter.instances("orders")).instances) == 1
    await adapter.close()


async def test_one_bad_record_loses_only_itself(server: Server) -> None:
    server.then(
        "5",
        [
            entry(80),
            entry("eighty"),
            entry(0),
            {"Node": {}},
            7,
            entry(81, tags=None, Address=""),
            entry(82, checks=({"Status": "passing"}, {"Status": "critical"})),
            entry(83, checks=({"Status": "warning"},), Weights={"Passing": 10, "Warning": 2}),
        ],
    )
    adapter = adapter_of(server)
    listing = await adapter.instances("orders")
    assert [(item.address, item.tag, item.weight, item.healthy) for item in listing.instances] == [
        ("10.0.0.1:80", "gray", 1.0, True),
        ("10.0.0.1:82", "gray", 1.0, False),
        ("10.0.0.1:83", "gray", 2.0, True),
        ("10.0.0.9:81", "base", 1.0, True),
    ]
    assert listing.skipped == {"bad_port": 2, "no_service": 2}
    assert listing.left_out == {"bad_port": ("10.0.0.1:eighty", "10.0.0.1:0"), "no_service": ('{"Node": {}}', "7")}
    await adapter.close()


async def test_an_agent_that_loses_its_leader_leaves_what_is_known_alone(server: Server) -> None:
    seen: list[tuple[Instance, ...]] = []
    server.then("5", [entry(80)])
    server.then("", "No cluster leader", 500)
    server.then("5", [entry(80)])
    keeper = Keeper(adapter_of(server), lambda _, instances: seen.append(instances))
    keeper.watch("orders")
    await until(lambda: keeper.errors.get("warming") == 1 and keeper.states()[0].state == "fresh")
    assert len(seen) == 1
    await keeper.close()


@pytest.mark.parametrize("name", [".", "..", ""])
async def test_a_callee_whose_name_is_a_step_up_is_asked_nowhere(server: Server, name: str) -> None:
    """`Host: ..` of an application must not become another call than the one for instances."""
    adapter = adapter_of(server)
    with pytest.raises(RegistryError, match="cannot be part of a path"):
        await adapter.instances(name)
    with pytest.raises(RegistryError, match="cannot be part of a path"):
        await anext(adapter.watch(name))
    await adapter.close()
    assert server.paths == []


async def test_other_names_are_one_segment(server: Server) -> None:
    adapter = adapter_of(server)
    for name in ("a/../../agent/self", "a?b", "a#b", "%2e%2e"):
        server.then("1", [])
        await adapter.instances(name)
    await adapter.close()
    folder = "/v1/health/service/"
    assert server.paths == [folder + path for path in ("a%2F..%2F..%2Fagent%2Fself", "a%3Fb", "a%23b", "%252e%252e")]


async def test_a_key_of_the_store_leads_nowhere_else(server: Server) -> None:
    client = ConsulClient(server.address)
    for key in ("gray/../../agent/self", "gray/./x.yaml", ".."):
        with pytest.raises(RegistryError, match="cannot be part of a path"):
            await ConsulDocument(client, key).read()
        with pytest.raises(RegistryError, match="cannot be part of a path"):
            await ConsulFolder(client, "gray/", (".yaml",)).publish(f"../{key}", "x", None)
    server.then("1", "x")
    assert await ConsulDocument(client, "gray/a b%2f?.yaml").read() == "x"
    await client.close()
    assert server.paths == ["/v1/kv/gray/a%20b%252f%3F.yaml"]


async def test_a_key_that_is_no_text_is_no_answer(server: Server) -> None:
    client = ConsulClient(server.address)
    server.then("1", [{"Key": None, "Value": ""}])
    with pytest.raises(RegistryError, match="cannot be read"):
        await anext(ConsulFolder(client, "gray/", (".yaml",)).watch())
    await client.close()
