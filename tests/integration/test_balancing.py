"""Balancing from settings to instances: over connections of HTTP/1.1 and of HTTP/2, in every pool, with retries, across reloads."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest

from gateway.app.build import Build
from gateway.app.entry_plane import EntryPlane
from gateway.instance import Instance
from gateway.proxy.server import bind
from gateway.rules.model import LaneGroup
from gateway.rules.ruleset import RuleSet
from gateway.settings.gateway import GatewaySettings
from tests.support.h2origin import Call, H2Origin
from tests.support.origin import Origin
from tests.support.proxy import LANE, Answer, Client
from tests.support.wait import until

RULES = RuleSet((LaneGroup.model_validate(LANE),))
SECRET = "sixteen-letters-or-more"


class Front:
    """An entry gateway's data plane for service `a`."""

    def __init__(self, **service: Any) -> None:
        self.settings = self.with_service(**service)
        self.plane = EntryPlane(self.settings)
        self.plane.configure(1, Build.of(self.settings, RULES))
        self.sock = bind("127.0.0.1", 0)

    @staticmethod
    def with_service(**service: Any) -> GatewaySettings:
        registry = {"kind": "static", "services": {"a": []}}
        routes = [{"path": "/", "service": "a"}]
        parts = {"sticky": {"secret": SECRET}, "services": {"a": service} if service else {}}
        return GatewaySettings.model_validate(
            {"listen": "127.0.0.1:1", "registry": registry, "routes": routes, **parts}
        )

    def reload(self, **service: Any) -> None:
        self.plane.configure(2, Build.of(self.with_service(**service), RULES))

    async def connect(self) -> Client:
        return Client(*await asyncio.open_connection("127.0.0.1", self.sock.getsockname()[1]))

    async def get(self, target: str, *fields: str) -> Answer:
        client = await self.connect()
        await client.send("\r\n".join([f"GET {target} HTTP/1.1", "Host: x", *fields, "", ""]).encode())
        answer = await client.answer()
        client.close()
        return answer


@asynccontextmanager
async def front(*instances: Instance, **service: Any) -> AsyncIterator[Front]:
    made = Front(**service)
    made.plane.service_changed("a", instances)
    await made.plane.listen([made.sock])
    try:
        yield made
    finally:
        await made.plane.close()
    assert made.plane.traffic.internal_errors == 0


class Speakers:
    """Instances that answer with their numbers; the first one hangs until `gate` opens. `asked`: who was, in order."""

    def __init__(self, kind: str = "http1") -> None:
        self.kind = kind
        self.gate = asyncio.Event()
        self.gate.set()
        self.asked: list[int] = []
        self.origins: list[Any] = []

    async def start(self, count: int) -> list[Instance]:
        for number in range(count):
            origin = self.h2(number) if self.kind == "h2c" else self.http1(number)
            await origin.start()
            self.origins.append(origin)
        return [self.instance(number) for number in range(count)]

    def instance(self, number: int, tag: str = "base") -> Instance:
        origin = self.origins[number]
        if self.kind == "h2c":
            return Instance("127.0.0.1", origin.port, tag, metadata={"protocol": "h2c"})
        return Instance("127.0.0.1", origin.ports[tag], tag)

    def h2(self, number: int) -> H2Origin:
        async def answer(call: Call) -> None:
            await self.answering(number)
            call.send_headers((":status", "200"), ("content-length", "1"))
            await call.send_data(b"%d" % number, ends=True)

        return H2Origin(answer)

    def http1(self, number: int) -> Origin:
        async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            while await reader.readuntil(b"\r\n\r\n"):
                await self.answering(number)
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n%d" % number)

        origin = Origin()
        origin.script = script
        return origin

    async def answering(self, number: int) -> None:
        self.asked.append(number)
        if number == 0:
            await self.gate.wait()

    async def close(self) -> None:
        self.gate.set()
        for origin in self.origins:
            await origin.close()


@pytest.mark.parametrize("kind", ["http1", "h2c"])
@pytest.mark.parametrize(("policy", "most"), [("least_request", 1), ("round_robin", 10)])
async def test_an_instance_that_hangs_gets_no_more_from_least_request(kind: str, policy: str, most: int) -> None:
    """Also if all requests are on one connection."""
    speakers = Speakers(kind)
    async with front(*await speakers.start(3), balancing={"policy": policy}) as made:
        speakers.gate.clear()
        tasks: list[asyncio.Task[Answer]] = []
        for count in range(30):
            tasks.append(asyncio.create_task(made.get("/x")))
            # One after the other: each knows what became of those before it.
            await until(lambda count=count: len(speakers.asked) > count)  # type: ignore[misc]
            await until(lambda: sum(not task.done() for task in tasks) == speakers.asked.count(0))
        assert speakers.asked.count(0) == most
        speakers.gate.set()
        assert {answer.status for answer in await asyncio.gather(*tasks)} == {200}
        await speakers.close()


async def test_keys_have_one_home_in_each_pool_even_if_some_do_not_listen() -> None:
    speakers = Speakers()
    base = await speakers.start(3)
    gray = [speakers.instance(number, "gray") for number in (1, 2)]
    dead = Instance("127.0.0.9", base[0].port)
    balancing = {"policy": "consistent_hash", "by": {"header": "x-user"}}
    async with front(*base, *gray, dead, balancing=balancing) as made:
        homes: dict[tuple[str, int], set[bytes]] = {}
        for target in ("/", "/?group=gray"):
            for user in range(60):  # with fewer, one of four has none now and then
                found = [await made.get(target, f"X-User: u{user}") for _ in range(3)]
                assert {answer.status for answer in found} == {200}
                homes[target, user] = {answer.body for answer in found}
        assert {len(found) for found in homes.values()} == {1}
        assert set().union(*(found for key, found in homes.items() if key[0] == "/")) == {b"0", b"1", b"2"}
        assert set().union(*(found for key, found in homes.items() if key[0] != "/")) == {b"1", b"2"}
        assert made.plane.traffic.retries[("a", "connect_error")] > 0
        made.plane.service_changed("a", tuple(base))
        made.reload()  # they take turns from now on
        assert {(await made.get("/", "X-User: u1")).body for _ in range(3)} == {b"0", b"1", b"2"}
        await speakers.close()


@pytest.mark.parametrize("kind", ["http1", "h2c"])
@pytest.mark.parametrize("policy", ["round_robin", "least_request"])
async def test_nobody_notices_that_most_of_a_pool_accept_no_connections(kind: str, policy: str) -> None:
    speakers = Speakers(kind)
    (alive,) = await speakers.start(1)
    dead = [replace(alive, host=f"127.0.0.{number}") for number in range(2, 10)]
    async with front(*dead, alive, balancing={"policy": policy}) as made:
        assert [(await made.get("/x")).status for _ in range(3)] == [200] * 3
        assert made.plane.traffic.retries_denied == {}
        # All are known by then: what has no living instance at all goes on to none.
        made.plane.service_changed("a", tuple(dead))
        tried = made.plane.traffic.retries[("a", "connect_error")]
        assert [(await made.get("/x")).status for _ in range(3)] == [502] * 3
        assert made.plane.traffic.retries[("a", "connect_error")] - tried <= 3 * 2
        await speakers.close()


async def test_a_browser_stays_where_it_is_until_that_is_gone() -> None:
    speakers = Speakers()
    base = await speakers.start(3)
    async with front(*base, speakers.instance(2, "gray"), sticky_instance={"cookie": "at"}) as made:
        first = await made.get("/")
        cookie = cookie_of(first)
        assert [(await made.get("/", cookie)).body for _ in range(6)] == [first.body] * 6
        # The lane decides first, whatever the cookie says.
        gray = await made.get("/?group=gray", cookie)
        assert (gray.body, cookie_of(gray) != cookie) == (b"2", True)
        # A reload goes on understanding it.
        made.reload(sticky_instance={"cookie": "at"}, balancing={"policy": "least_request"})
        again = await made.get("/", cookie)
        assert (again.body, again.header("set-cookie")) == (first.body, None)
        # The instance goes without having been taken out: the retry takes the client along.
        await speakers.origins[int(first.body)].close()
        moved = await made.get("/", cookie)
        assert (moved.status, moved.body != first.body) == (200, True)
        assert {(await made.get("/", cookie_of(moved))).body for _ in range(4)} == {moved.body}
        await speakers.close()


def cookie_of(answer: Answer) -> str:
    match = re.fullmatch(r"(at=[\w-]{20}); Path=/; HttpOnly; SameSite=Lax", answer.header("set-cookie") or "")
    assert match is not None
    return f"Cookie: {match[1]}"
